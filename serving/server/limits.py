"""How much requests may take of the server, so that none of them harms the others."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from serving.server.status import Code, StatusError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["MAX_CONCURRENT_REQUESTS", "MAX_HELD_BYTES", "MAX_REQUEST_BYTES", "Admission"]

#: Of a request's message over gRPC and of its inflated body over REST: 400 images of 224 x 224 as floats.
MAX_REQUEST_BYTES = 2**28
#: Requests of one protocol that run or wait; beyond, gRPC and REST answer RESOURCE_EXHAUSTED.
MAX_CONCURRENT_REQUESTS = 256
#: Of the bodies of all requests over REST; gRPC reads a message only when a thread is free for it.
MAX_HELD_BYTES = 2**30


class Admission:
    """Lets a number of requests in at a time, with so many bytes between them, and refuses the others at once.

    Args:
        limit: the number.
        max_bytes: of the bodies of all of them.
    """

    def __init__(self, limit: int = MAX_CONCURRENT_REQUESTS, max_bytes: int = MAX_HELD_BYTES) -> None:
        self._limit = limit
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._inside = 0
        self._held = 0

    @contextmanager
    def enter(self) -> Iterator[Callable[[int], None]]:
        """Hold a place, and get what is to be told of every byte that the request comes to hold.

        Raises:
            StatusError: RESOURCE_EXHAUSTED when all places or bytes are taken.
        """
        with self._lock:
            if self._inside >= self._limit:
                raise StatusError(
                    Code.RESOURCE_EXHAUSTED, f"The server works on {self._inside} requests, its limit; try again later"
                )
            self._inside += 1
        own = [0]
        try:
            yield lambda count: self._hold(own, count)
        finally:
            with self._lock:
                self._inside -= 1
                self._held -= own[0]

    def _hold(self, own: list[int], count: int) -> None:
        with self._lock:
            if self._held + count > self._max_bytes:
                raise StatusError(
                    Code.RESOURCE_EXHAUSTED,
                    f"The server holds {self._held} bytes of requests, of at most {self._max_bytes}; try again later",
                )
            self._held += count
            own[0] += count
