"""Signed texts: that a form was filled in on our page by the user who sends it, and what a redirect has to tell."""

from __future__ import annotations

from typing import Any

from airflow.configuration import conf
from itsdangerous import BadData, URLSafeTimedSerializer

__all__ = ["FORM_SECONDS", "issue", "read"]

#: A page may lie open for a working day before its forms are refused.
FORM_SECONDS = 12 * 3600


def issue(purpose: str, content: Any) -> str:
    """A text that only this installation can make, for one purpose."""
    return _serializer(purpose).dumps(content)


def read(purpose: str, token: str, seconds: int = FORM_SECONDS) -> Any | None:
    """What was signed; None for a text that is not ours, of another purpose, or older than that many seconds."""
    try:
        return _serializer(purpose).loads(token, max_age=seconds)
    except BadData:
        return None


def _serializer(purpose: str) -> URLSafeTimedSerializer:
    # The same on all API servers, as Airflow asks for.
    return URLSafeTimedSerializer(conf.get_mandatory_value("api", "secret_key"), salt=f"quartet.{purpose}")
