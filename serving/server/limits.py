"""How much requests may take of the server, so that none of them harms the others."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from serving.server.status import Code, StatusError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["MAX_CONCURRENT_REQUESTS", "MAX_REQUEST_BYTES", "Admission"]

#: Of a request's message over gRPC and of its inflated body over REST: 400 images of 224 x 224 as floats.
MAX_REQUEST_BYTES = 2**28
#: Requests of one protocol that run or wait; beyond, gRPC and REST answer RESOURCE_EXHAUSTED.
MAX_CONCURRENT_REQUESTS = 256


class Admission:
    """Lets a number of requests in at a time, and refuses the others at once.

    Args:
        limit: the number.
    """

    def __init__(self, limit: int = MAX_CONCURRENT_REQUESTS) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._inside = 0

    @contextmanager
    def enter(self) -> Iterator[None]:
        """Hold a place.

        Raises:
            StatusError: RESOURCE_EXHAUSTED when all are taken.
        """
        with self._lock:
            if self._inside >= self._limit:
                raise StatusError(
                    Code.RESOURCE_EXHAUSTED, f"The server works on {self._inside} requests, its limit; try again later"
                )
            self._inside += 1
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1
