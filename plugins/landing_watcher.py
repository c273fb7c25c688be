"""The trigger that watches the landing zone, for the asset that starts `ingest_images`."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ml.landing_watch import LandingWatch

__all__ = ["LandingTrigger"]

log = logging.getLogger(__name__)

#: However long a store does not answer, it is asked again after that many seconds, or the poll interval if longer.
LONGEST_PAUSE = 900.0
#: Of :class:`ml.landing_watch.News`, what an event says.
TOLD = ("objects", "bytes", "labels", "listed")
FAULT = "the landing zone cannot be watched, and will be tried again"


class LandingTrigger(BaseEventTrigger):
    """Fires when the landing zone of the configured store holds what no ingest has seen.

    It lists the landing zone every so often, in a thread, and reads nothing as long as nothing is new. It says once
    what goes wrong, and goes on: where settings are wrong, until they are mended; where the store does not answer,
    after longer and longer pauses.

    Args:
        poll_seconds: from the end of one listing to the start of the next.
    """

    def __init__(self, poll_seconds: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.poll_seconds = poll_seconds
        self.failures = 0
        self._said = ""

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Where this class is, and what makes another like this one."""
        return "plugins.landing_watcher.LandingTrigger", {"poll_seconds": self.poll_seconds}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Watch until the triggerer ends it; events say how much is new, and no names of files."""
        stop = threading.Event()
        try:
            watch = await asyncio.to_thread(_begin, stop)
            log.info("watching the landing zone every %g seconds", self.poll_seconds)
            while True:
                event = await self._look(watch)
                if event is not None:
                    yield TriggerEvent(event)  # type: ignore[no-untyped-call]
                await asyncio.sleep(self.pause())
        finally:
            # A thread cannot be ended: it ends itself at the next object that it lists.
            stop.set()

    async def _look(self, watch: LandingWatch) -> dict[str, Any] | None:
        from ml.errors import ConfigError, QuartetError

        try:
            news = await asyncio.to_thread(watch.look)
        except ConfigError as error:
            self.failures = 0
            if self._is_new(str(error)):
                log.warning("%s: %s", FAULT, error)
        except QuartetError as error:
            self.failures += 1
            if self._is_new(str(error)):
                log.warning("%s: %s", FAULT, error)
        except Exception as error:
            # A trigger that ends with an error is started again a second later, and so on.
            self.failures += 1
            if self._is_new(repr(error)):
                log.exception(FAULT)
        else:
            self._recover()
            if news is not None:
                log.info("%d objects are new in the landing zone, of %d", news.objects, news.listed)
                return {name: getattr(news, name) for name in TOLD}
        return None

    def _is_new(self, text: str) -> bool:
        """Whether this has not been said just before."""
        new, self._said = text != self._said, text
        return new

    def _recover(self) -> None:
        if self._said:
            log.info("the landing zone is watched again")
        self.failures, self._said = 0, ""

    def pause(self) -> float:
        """Seconds to the next look: twice as many after each failure in a row."""
        longest = max(self.poll_seconds, LONGEST_PAUSE)
        # More doublings than these pass any limit, and in the end what a float can hold.
        return min(longest, self.poll_seconds * 2.0 ** min(self.failures, 64))


def _begin(stop: threading.Event) -> LandingWatch:
    # In a thread and not above: settings and their models take a second, in which nothing else could be triggered.
    from ml.landing_watch import LandingWatch

    return LandingWatch(stop.is_set)
