"""Parts that are read apart from each other, kept for a while, and left out when they are old or cannot be read."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

from ml.errors import NotFoundError, QuartetError, StoreError
from ml.overview.reading import DAMAGE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Executor, Future

    from ml.telemetry.families import Sample

__all__ = ["FAILED_SECONDS", "Found", "Part", "PartReader", "Reading"]

log = logging.getLogger(__name__)

#: What cannot be read is not tried again at every one of several scrapes.
FAILED_SECONDS = 5.0


class Reading(NamedTuple):
    """What a part came to: samples, and in words what of it could not be read."""

    samples: Sequence[Sample]
    problem: str = ""


@dataclass(frozen=True)
class Part:
    """Something to read.

    Attributes:
        name: value of the label ``part``.
        read: does it.
        seconds: for which what was read is shown.
        restraint: so many times as long as reading took it is not read again, and shown meanwhile.
    """

    name: str
    read: Callable[[], Reading]
    seconds: float
    restraint: float = 0.0


@dataclass(frozen=True)
class Found:
    """The newest of a part.

    Attributes:
        samples: none where it could not be read, or is too old.
        whole: whether all of it could be read.
        answered: whether the store did.
        at: when it was read, in seconds since 1970.
        seconds: that reading took.
    """

    samples: tuple[Sample, ...] = ()
    whole: bool = False
    answered: bool = True
    at: float = 0.0
    seconds: float = 0.0


class PartReader:
    """Reads one part in a thread, at most once at a time.

    Args:
        part: to read.
        pool: of threads.
        clock: seconds that only grow.
    """

    def __init__(self, part: Part, pool: Executor, clock: Callable[[], float] = time.monotonic) -> None:
        self.part = part
        self._pool, self._clock = pool, clock
        self._lock = Lock()
        self._running: Future[Found] | None = None
        self._found: Found | None = None
        self._until = self._kept_until = 0.0

    def begin(self) -> Future[Found] | None:
        """Start reading where that is due; what is to be waited for."""
        with self._lock:
            self._take()
            if self._running is None and self._clock() >= self._until:
                self._running = self._pool.submit(self._read)
            return self._running

    def found(self) -> Found:
        """The newest that may be shown; not whole while a read is overdue and nothing else may be."""
        with self._lock:
            self._take()
            if self._found is not None and self._clock() < self._kept_until:
                return self._found
            return Found()

    def _take(self) -> None:
        if self._running is None or not self._running.done():
            return
        self._found, self._running = self._running.result(), None
        seconds = self.part.seconds + self.part.restraint * self._found.seconds
        if self._found.samples or self._found.whole:
            self._until = self._clock() + seconds
            # While it is read again, what takes long to read is still shown.
            self._kept_until = self._until + (seconds if self.part.restraint else 0.0)
        else:
            self._until = self._kept_until = self._clock() + FAILED_SECONDS

    def _read(self) -> Found:
        started, at = self._clock(), time.time()
        answered, reading = True, Reading((), "nothing was read")
        try:
            reading = self.part.read()
        except NotFoundError as error:
            reading = Reading((), f"{error} It was removed meanwhile, or never written.")
        except StoreError as error:
            answered, reading = False, Reading((), str(error))
        except (QuartetError, *DAMAGE) as error:
            reading = Reading((), f"{type(error).__name__}: {error}")
        if reading.problem:
            log.warning("%s: %s", self.part.name, reading.problem)
        return Found(tuple(reading.samples), not reading.problem, answered, at, self._clock() - started)
