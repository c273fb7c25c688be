"""What browsers are told about our answers, so that none of them can be made to do another's work."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fastapi import Request, Response

__all__ = ["NO_SCRIPTS", "add_headers"]

#: For files that come out of the store, which is not ours alone to write: nothing in them is run.
NO_SCRIPTS = (
    "default-src 'none'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; font-src 'self' data:; "
    "form-action 'none'; frame-ancestors 'self'; base-uri 'none'"
)
OURS = (
    "default-src 'none'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; script-src 'self'; "
    "form-action 'self'; frame-ancestors 'self'; base-uri 'none'"
)


async def add_headers(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    """Answer with the headers that every answer has; a stricter policy of the answer's own stays."""
    response = await call_next(request)
    response.headers.setdefault("Content-Security-Policy", OURS)
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "same-origin"
    return response
