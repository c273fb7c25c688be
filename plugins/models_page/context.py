"""The settings and the store, opened once in a process of the API server."""

from __future__ import annotations

from functools import cache
from typing import Annotated

from fastapi import Depends

from ml.context import Context

__all__ = ["ContextDep"]


@cache
def _context() -> Context:
    # An error is not kept: the next request tries again.
    return Context.from_environment()


ContextDep = Annotated[Context, Depends(_context)]
