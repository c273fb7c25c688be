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


def map_ahead(work: Callable[[T], R], items: Iterable[T], workers: int, name: str) -> Iterator[R]:
    """Work on items in threads and give the results in order, with at most two results a worker waiting to be read.

    Args:
        work: called with each item; what it raises is raised here.
        items: read as far as needed.
        workers: number of threads.
        name: of the threads, in tracebacks.
    """
    with ThreadPoolExecutor(workers, thread_name_prefix=name) as pool:
        ahead: deque[Future[R]] = deque()
        for item in items:
            ahead.append(pool.submit(work, item))
            if len(ahead) > 2 * workers:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
