"""How long one request's run may take."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tensorflow.python.eager import cancellation

from serving.server.status import Code, StatusError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["RunLimit"]


class _PerThread:
    """TensorFlow's cancellation manager of whoever asks.

    TensorFlow keeps one for the whole process, which is whatever request set it last. It takes this one as well, and
    asks it for its implementation in the thread that calls a function.
    """

    def __init__(self) -> None:
        self._current = threading.local()

    @property
    def _impl(self) -> Any:
        # A new one where there is no limit: a call that fails cancels its manager for good.
        manager: Any = getattr(self._current, "manager", None) or cancellation.CancellationManager()
        return manager._impl

    @contextmanager
    def use(self, manager: Any) -> Iterator[None]:
        self._current.manager = manager
        try:
            yield
        finally:
            del self._current.manager


_PER_THREAD = _PerThread()


class RunLimit:
    """A request's time, and the end of its run when nobody waits for the answer any more.

    A graph ends at its next step that looks: the turn of a loop, not the middle of a convolution. A run in a batch with
    other requests goes on, since they wait for it.

    Args:
        seconds: from now; None for no limit.
    """

    def __init__(self, seconds: float | None) -> None:
        self.deadline = None if seconds is None else time.monotonic() + seconds
        self._cancellation = cancellation.CancellationManager()

    def give_up(self) -> None:
        """Cancel what runs; from any thread, and harmless when nothing does."""
        self._cancellation.start_cancel()

    @contextmanager
    def apply(self) -> Iterator[None]:
        """Limit what is run inside, in this thread.

        Raises:
            StatusError: DEADLINE_EXCEEDED when the time is up before, or what was run was cancelled after.
        """
        # Not at import, and again should anything else have used it.
        cancellation._active_context = _PER_THREAD
        if self._is_over():
            raise StatusError(Code.DEADLINE_EXCEEDED, "The request's time passed before it could run")
        try:
            with _PER_THREAD.use(self._cancellation):
                yield
        except StatusError as error:
            if error.code is Code.CANCELLED and self._is_over():
                raise StatusError(Code.DEADLINE_EXCEEDED, "The request's time passed while it ran") from error
            raise

    def _is_over(self) -> bool:
        return self.deadline is not None and time.monotonic() >= self.deadline
