"""Jinja for the package's templates. Alerts are made with it in Airflow's DAG processor: it imports nothing heavy."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["make_environment", "plain_markdown"]

MARKDOWN = re.compile(r"([\\`*_{}\[\]<>()#|!~])")


def make_environment(filters: Mapping[str, Callable[..., str]], *, escape: bool = True) -> Environment:
    """An environment that fails at an unknown name.

    Args:
        filters: beside Jinja's own, by name.
        escape: every text for HTML; Markdown has other characters that mean something.
    """
    environment = Environment(
        loader=PackageLoader("ml", "templates"),
        autoescape=escape,  # noqa: S701
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= filters
    return environment


def plain_markdown(text: str) -> str:
    """People's text on one line, in which no character means anything to Markdown."""
    return MARKDOWN.sub(r"\\\1", " ".join(text.split()))
