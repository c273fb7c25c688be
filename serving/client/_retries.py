"""Time for a whole call, and further tries within it."""

from __future__ import annotations

import random
import time

from serving.client._errors import DeadlineExceededError, UnavailableError, call_error

__all__ = ["DEFAULT_RETRIES", "Attempts"]

DEFAULT_RETRIES = 4
#: Before the first further try at most, doubled for each later one, up to the longest.
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 2.0


class Attempts:
    """The tries of one call, which share its time.

    Args:
        address: of the server, for messages.
        retries: further tries after one that ended as UNAVAILABLE.
        seconds: for all tries and the pauses between them.
    """

    def __init__(self, address: str, retries: int, seconds: float) -> None:
        self._address, self._retries, self._seconds = address, retries, seconds
        self._started = time.monotonic()
        self._deadline = self._started + seconds
        self._done = 0

    def remaining(self) -> float:
        """Seconds that the next try has.

        Raises:
            DeadlineExceededError: none are left.
        """
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise self.too_late()
        return left

    def elapsed(self) -> float:
        """Seconds since the call began."""
        return time.monotonic() - self._started

    def too_late(self) -> DeadlineExceededError:
        """The error for a call that has used up its time."""
        error = call_error(self._address, "DEADLINE_EXCEEDED", f"nothing within {self._seconds:g} s")
        assert isinstance(error, DeadlineExceededError)
        return error

    def pause_after(self, error: UnavailableError) -> float:
        """Seconds to wait before the next try.

        Half of each pause is chance, so that clients that failed together do not come back together.

        Raises:
            UnavailableError: the error itself, when no try is left or no time for one.
        """
        longest = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0**self._done)
        pause = longest * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
        self._done += 1
        if self._done > self._retries or time.monotonic() + pause >= self._deadline:
            raise error
        return pause
