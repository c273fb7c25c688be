"""Airflow's own API, asked within this process as the user who asks us: its permissions, checks and audit log hold."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx
from airflow.api_fastapi.auth.managers.base_auth_manager import COOKIE_NAME_JWT_TOKEN
from fastapi import HTTPException

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi import Request

__all__ = ["is_paused", "trigger"]

SECONDS = 30


async def trigger(request: Request, dag_id: str, conf: Mapping[str, Any], note: str) -> str:
    """Start a run; returns its id.

    Args:
        request: of the user, whose session is used.
        dag_id: of the DAG.
        conf: values of its form.
        note: kept with the run, shown in Airflow's UI.

    Raises:
        HTTPException: as Airflow answered, with its words.
    """
    body = {"logical_date": None, "conf": dict(conf), "note": note}
    answer = await _ask(request, "POST", f"/api/v2/dags/{quote(dag_id, safe='')}/dagRuns", body)
    return str(answer["dag_run_id"])


async def is_paused(request: Request, dag_id: str) -> bool:
    """Whether runs of a DAG wait until somebody unpauses it."""
    return bool((await _ask(request, "GET", f"/api/v2/dags/{quote(dag_id, safe='')}"))["is_paused"])


async def _ask(request: Request, method: str, path: str, body: Any = None) -> Any:
    from airflow.api_fastapi.app import cached_app

    # The very object that serves us: it is kept by how it was asked for.
    app = cached_app(apps=os.environ.get("AIRFLOW_API_APPS", "all"))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url=str(request.base_url.replace(path="/")), timeout=SECONDS
    ) as client:
        response = await client.request(method, path, json=body, headers=_credentials(request))
    if response.is_error:
        raise HTTPException(response.status_code, _words(response))
    return response.json()


def _credentials(request: Request) -> dict[str, str]:
    """Of the user who asks; Airflow prefers a header to the cookie as well."""
    given = request.headers.get("Authorization", "")
    # Another scheme is a proxy's, and nothing to Airflow.
    is_token = given.lower().startswith("bearer ")
    return {"Authorization": given if is_token else f"Bearer {request.cookies.get(COOKIE_NAME_JWT_TOKEN, '')}"}


def _words(response: httpx.Response) -> str:
    """What Airflow says of a refusal."""
    try:
        detail = response.json()["detail"]
    except (ValueError, KeyError, TypeError):
        return response.text or f"Airflow answered {response.status_code}."
    if isinstance(detail, list):  # of a body that does not fit the schema
        return "; ".join(str(item.get("msg", item)) if isinstance(item, dict) else str(item) for item in detail)
    return str(detail)
