"""Tasks collected to batches, and the threads that run them: TensorFlow Serving's shared batch scheduler."""

from __future__ import annotations

import threading
import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from serving.server.status import Code, StatusError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from serving.server.batching_parameters import BatchingParameters

__all__ = ["BatchQueue", "BatchScheduler", "Task"]


@dataclass(frozen=True, eq=False)
class Task:
    """Rows of one request that wait for a batch.

    Attributes:
        rows: how many.
        payload: what the processing of a batch needs.
        deadline: ``time.monotonic()`` after which nobody waits for the answer; None for no limit.
        answer: of the processing.
        queued: ``time.monotonic()`` when it came.
    """

    rows: int
    payload: Any
    deadline: float | None = None
    answer: Future[Any] = field(default_factory=Future)
    queued: float = field(default_factory=time.monotonic)


@dataclass
class _Batch:
    tasks: list[Task]
    rows: int
    opened: float


class BatchQueue:
    """Batches of one signature of one model. The scheduler's lock guards it."""

    def __init__(self, parameters: BatchingParameters, process: Callable[[list[Task]], None]) -> None:
        self.parameters = parameters
        self.process = process
        self._batches: deque[_Batch] = deque()

    def add(self, tasks: Sequence[Task]) -> None:
        """Put tasks into the open batch or into new ones; all of them or none.

        Raises:
            StatusError: UNAVAILABLE when there is no room.
        """
        largest, limit = self.parameters.batch_size, self.parameters.max_enqueued_batches
        opened = self._opened_by(tasks, largest)
        if len(self._batches) + opened > limit:
            raise StatusError(
                Code.UNAVAILABLE,
                "The batch scheduling queue to which this task was submitted is full; "
                f"it holds {len(self._batches)} batches, of at most {limit}",
            )
        for task in tasks:
            if not self._batches or self._batches[-1].rows + task.rows > largest:
                self._batches.append(_Batch([], 0, task.queued))
            self._batches[-1].tasks.append(task)
            self._batches[-1].rows += task.rows

    def room(self) -> int:
        """Rows that the open batch can still take."""
        return self.parameters.batch_size - self._batches[-1].rows if self._batches else 0

    def due(self, now: float) -> float | None:
        """Seconds until a batch may run, 0 or less for now; None when there is none."""
        if not self._batches:
            return None
        first = self._batches[0]
        if len(self._batches) > 1 or first.rows >= self.parameters.batch_size:
            return 0.0
        return first.opened + self.parameters.timeout_seconds - now

    def take(self) -> list[Task]:
        """Remove the oldest batch."""
        return self._batches.popleft().tasks

    def drain(self) -> list[Task]:
        """Remove all tasks."""
        tasks = [task for batch in self._batches for task in batch.tasks]
        self._batches.clear()
        return tasks

    def _opened_by(self, tasks: Sequence[Task], largest: int) -> int:
        rows, opened = (self._batches[-1].rows if self._batches else largest), 0
        for task in tasks:
            if rows + task.rows > largest:
                rows, opened = 0, opened + 1
            rows += task.rows
        return opened


class BatchScheduler:
    """Threads that run the batches of all queues in turn.

    A batch runs when it is full or has waited its time, and a thread is free; until then requests join it.
    """

    def __init__(self, threads: int) -> None:
        self._changed = threading.Condition()
        self._queues: deque[BatchQueue] = deque()
        self._closed = False
        self._threads = [
            threading.Thread(target=self._work, name=f"batch_{number}", daemon=True) for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, queue: BatchQueue, cut: Callable[[int], Sequence[Task]]) -> Sequence[Task]:
        """Queue a request's tasks, which ``cut`` makes from the rows that the open batch can still take.

        Raises:
            StatusError: UNAVAILABLE when the queue is full or the server stops.
        """
        with self._changed:
            if self._closed:
                raise StatusError(Code.UNAVAILABLE, "The server is stopping")
            tasks = cut(queue.room())
            queue.add(tasks)
            # Only queues with work are known here, so that a model that goes takes its queues with it.
            if queue not in self._queues:
                self._queues.append(queue)
            self._changed.notify()
        return tasks

    def close(self) -> None:
        """Refuse what waits, and end the threads."""
        with self._changed:
            self._closed = True
            waiting = [task for queue in self._queues for task in queue.drain()]
            self._queues.clear()
            self._changed.notify_all()
        for task in waiting:
            task.answer.set_exception(StatusError(Code.UNAVAILABLE, "The server is stopping"))
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while (taken := self._take()) is not None:
            queue, tasks = taken
            try:
                queue.process(tasks)
            except BaseException as error:  # noqa: BLE001 - whoever waits gets it
                for task in tasks:
                    if not task.answer.done():
                        task.answer.set_exception(error)
            # A thread that waits for the next batch must not keep a model in memory.
            del taken, queue, tasks

    def _take(self) -> tuple[BatchQueue, list[Task]] | None:
        """The next batch, waiting for it; None when the scheduler is closed."""
        with self._changed:
            while not self._closed:
                now = time.monotonic()
                waits = []
                for queue in tuple(self._queues):
                    wait = queue.due(now)
                    if wait is not None and wait <= 0:
                        return queue, self._pop(queue)
                    waits += [] if wait is None else [wait]
                self._changed.wait(min(waits, default=None))
        return None

    def _pop(self, queue: BatchQueue) -> list[Task]:
        tasks = queue.take()
        # To the end of the row, if there is more in it: no model waits for another's stream of requests.
        self._queues.remove(queue)
        if queue.due(0.0) is not None:
            self._queues.append(queue)
            self._changed.notify()
        return tasks
