"""Work in threads whose results are waiting in bounded numbers."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future

__all__ = ["map_ahead"]

T = TypeVar("T")
R = TypeVar("R")


def map_ahead(
    work: Callable[[T], R], items: Iterable[T], workers: int, name: str, ahead: int | None = None
) -> Iterator[R]:
    """Work on items in threads and give the results in order, of which a bounded number waits to be read.

    Args:
        work: called with each item; what it raises is raised here.
        items: read as far as needed.
        workers: number of threads.
        name: of the threads, in tracebacks.
        ahead: how many results may wait; two a worker unless it is given.
    """
    most = 2 * workers if ahead is None else ahead
    pool = ThreadPoolExecutor(workers, thread_name_prefix=name)
    waiting: deque[Future[R]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > most:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        # Left before the end: what has not begun never will.
        pool.shutdown(cancel_futures=True)
