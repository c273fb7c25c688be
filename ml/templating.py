"""Jinja for the package's templates. Alerts are made with it in Airflow's DAG processor: it imports nothing heavy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["make_environment"]


def make_environment(**filters: Callable[..., str]) -> Environment:
    """An environment that escapes every text and fails at an unknown name; ``filters`` go beside Jinja's own."""
    environment = Environment(
        loader=PackageLoader("ml", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= filters
    return environment
