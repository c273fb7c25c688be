"""A log of answered requests, in the store: for those who switch it on, and never at the cost of a request.

Clients and the local server hand over what was answered; a thread measures the images and writes rows. What does not
fit into its bounded queue is dropped, counted, and told in the log.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple, Self

from ml.errors import StoreError
from ml.request_rows import Answer, RequestRow, describe_request
from ml.request_store import erase_images, write_requests
from ml.storage import open_store
from ml.tombstones import forgotten_ids

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ml.config import Settings
    from ml.storage import Store
    from serving.client import Prediction

__all__ = ["RequestLog"]

log = logging.getLogger(__name__)

#: Of what waits to be measured, and of kept images that wait to be written.
MAX_QUEUED, MAX_QUEUED_BYTES = 2000, 2**26
#: Rows that wait while the store does not take them.
MAX_ROWS = 20_000
LOOK_SECONDS = 0.2
CLOSE_SECONDS = 30.0


class _Queued(NamedTuple):
    answer: Answer
    image: bytes | None


class RequestLog:
    """Samples answers and writes rows about them; may be shared by threads, and is closed by ``with``.

    With ``monitoring.log_share`` at 0 it keeps nothing, and starts no thread.

    Args:
        store: where the rows go.
        settings: of which ``model_name``, ``images`` and ``monitoring`` are read.
        seed: of the sampling; None for a different sample each time.
    """

    def __init__(self, store: Store, settings: Settings, seed: int | None = None) -> None:
        self._store, self._settings, self._limits = store, settings, settings.monitoring
        self._chance = random.Random(seed)  # noqa: S311 - which requests are looked at is no secret
        self._lock = threading.Lock()
        self._queue: deque[_Queued] = deque()
        self._queued_bytes = 0
        self._rows: list[RequestRow] = []
        self._images: dict[str, bytes] = {}
        self._unchecked: list[tuple[str, list[RequestRow]]] = []
        self._check_at = 0.0
        self._flush_at = time.monotonic() + self._limits.flush_seconds
        self._told = 0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.written = 0
        self.dropped = 0

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """A log in the store that the settings name."""
        return cls(open_store(settings.store), settings)

    def __enter__(self) -> Self:
        if self._limits.log_share and self._thread is None:
            self._thread = threading.Thread(target=self.run, args=(self._stop,), name="request-log", daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Write what waits, and end the thread."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(CLOSE_SECONDS)
            if self._thread.is_alive():
                log.warning("the request log did not end within %.0f s; what waited is not written", CLOSE_SECONDS)

    def sample(self, count: int) -> list[int]:
        """Which of some images are to be logged."""
        share = self._limits.log_share
        # The generator's values lie below 1, so that a share of 1 takes them all and 0 none.
        return [index for index in range(count) if self._chance.random() < share] if share else []

    def observe(
        self,
        images: Sequence[bytes] | None,
        answers: Sequence[Prediction],
        label: str | None,
        milliseconds: float,
    ) -> None:
        """Take a sample of one request's answers; returns at once.

        Args:
            images: encoded; None for arrays.
            answers: one for each.
            label: that was asked.
            milliseconds: from request to answer.
        """
        for index in self.sample(len(answers)):
            self.take(None if images is None else images[index], answers[index], label, milliseconds)

    def take(self, image: bytes | None, answer: Prediction, label: str | None, milliseconds: float) -> None:
        """Take one answer without sampling; dropped where too much waits."""
        known = answer.version, label, answer.class_id, answer.class_name, answer.probabilities, answer.status
        entry = _Queued(Answer(datetime.now(UTC), *known, milliseconds), image)
        size = len(image or b"")
        with self._lock:
            if len(self._queue) >= MAX_QUEUED or self._queued_bytes + size > MAX_QUEUED_BYTES:
                self.dropped += 1
                return
            self._queue.append(entry)
            self._queued_bytes += size

    def run(self, stop: threading.Event) -> None:
        """Measure and write until the event is set, and then what is left."""
        while not stop.wait(LOOK_SECONDS):
            self._try_to_work()
        self._try_to_work(last=True)

    def _try_to_work(self, last: bool = False) -> None:
        try:
            self._work(last)
        except Exception:
            # The log may fail; whoever is logged goes on.
            log.exception("%d rows about requests are lost", len(self._rows))
            self.dropped += len(self._rows)
            self._rows, self._images = [], {}

    def _work(self, last: bool) -> None:
        while (entry := self._next()) is not None:
            self._measure(entry)
            if self._is_full:
                self._flush()
        if self._rows and (last or time.monotonic() >= self._flush_at):
            self._flush()
        if self._unchecked and (last or time.monotonic() >= self._check_at):
            self._erase_forgotten()
        if last and self._rows:
            self.dropped += len(self._rows)
        self._tell()

    @property
    def _is_full(self) -> bool:
        if sum(map(len, self._images.values())) >= MAX_QUEUED_BYTES:
            return True
        # While the store is down, it is asked again when the time is up, not with every row.
        return len(self._rows) == self._limits.flush_images or len(self._rows) > MAX_ROWS

    def _next(self) -> _Queued | None:
        with self._lock:
            if not self._queue:
                return None
            entry = self._queue.popleft()
            self._queued_bytes -= len(entry.image or b"")
            return entry

    def _measure(self, entry: _Queued) -> None:
        keep = self._limits.keep_images
        try:
            row = describe_request(entry.answer, entry.image, self._settings.images, keep=keep)
        except Exception:
            # Whatever is wrong with one image, those after it are logged.
            log.exception("a request could not be described and is not logged")
            self.dropped += 1
            return
        if not self._rows:
            self._flush_at = time.monotonic() + self._limits.flush_seconds
        self._rows.append(row)
        if row.image_id is not None and entry.image is not None:
            self._images[row.image_id] = entry.image

    def _flush(self) -> None:
        try:
            rows = self._without_forgotten()
            if rows:
                names = {row.image_id for row in rows}
                images = {image_id: data for image_id, data in self._images.items() if image_id in names}
                key = write_requests(self._store, self._settings.model_name, rows, images)
                self._unchecked += [(key, rows)] if images else []
        except StoreError as error:
            log.warning("%d rows about requests wait: %s", len(self._rows), error)
            self._flush_at = time.monotonic() + self._limits.flush_seconds
            if len(self._rows) <= MAX_ROWS and sum(map(len, self._images.values())) < MAX_QUEUED_BYTES:
                return
            self.dropped += len(self._rows)
        else:
            self.written += len(rows)
        self._rows, self._images = [], {}

    def _without_forgotten(self) -> list[RequestRow]:
        """Of a picture that was forgotten nothing is kept when it is asked about again."""
        if not self._images:
            return self._rows
        gone = forgotten_ids(self._store)
        return [row for row in self._rows if row.image_id not in gone and row.pixel_id not in gone]

    def _erase_forgotten(self) -> None:
        """Take back what was forgotten between the look before it was written and the writing.

        What is forgotten later is in the store when the withdrawal looks for it: its tombstones come before.
        """
        try:
            gone = forgotten_ids(self._store)
            while self._unchecked:
                key, rows = self._unchecked[0]
                ids = {row.image_id for row in rows if row.image_id in gone or row.pixel_id in gone}
                erase_images(self._store, self._settings.model_name, key, {one for one in ids if one is not None})
                del self._unchecked[0]
        except StoreError as error:
            self._check_at = time.monotonic() + self._limits.flush_seconds
            log.warning("whether pictures were forgotten while they were written is not known yet: %s", error)

    def _tell(self) -> None:
        if self.dropped > self._told:
            log.warning("%d answers were not logged, %d since the start", self.dropped - self._told, self.dropped)
            self._told = self.dropped
