"""Requests to one model joined along their first dimension, run at once, and taken apart again."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from serving.server.batch_queue import BatchQueue, Task
from serving.server.status import Code, StatusError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from serving.server.batch_queue import BatchScheduler
    from serving.server.batching_parameters import BatchingParameters

    Arrays = Mapping[str, NDArray[Any]]

__all__ = ["Batcher"]


class Batcher:
    """Batches the calls of one signature of one model.

    Args:
        scheduler: runs the batches.
        parameters: of the batches.
        call: from arrays by input name to arrays by output name, both with the batch as first dimension.
        record_wait: gets the seconds that each request waited for its batch.
    """

    def __init__(
        self,
        scheduler: BatchScheduler,
        parameters: BatchingParameters,
        call: Callable[[Arrays], dict[str, NDArray[Any]]],
        record_wait: Callable[[float], None],
    ) -> None:
        self._scheduler = scheduler
        self._parameters = parameters
        self._call = call
        self._record_wait = record_wait
        self._queue = BatchQueue(parameters, self._process)

    def run(self, inputs: Arrays, deadline: float | None = None) -> dict[str, NDArray[Any]]:
        """Wait for a batch and return this request's part of its outputs.

        Args:
            inputs: arrays by name with the same number of rows.
            deadline: ``time.monotonic()`` after which the request does not run any more.

        Raises:
            StatusError: INVALID_ARGUMENT for inputs without a common first dimension, or with more rows than a batch
                takes; UNAVAILABLE when the queue is full; DEADLINE_EXCEEDED; what the model says.
        """
        rows = _rows(inputs)
        largest = self._parameters.max_batch_size
        if rows > largest:
            raise StatusError(
                Code.INVALID_ARGUMENT, f"Task size {rows} is larger than maximum input batch size {largest}"
            )
        tasks = self._scheduler.submit(self._queue, lambda room: self._cut(inputs, rows, room, deadline))
        answers = [_wait(task) for task in tasks]
        if len(answers) == 1:
            return answers[0]
        return {name: np.concatenate([answer[name] for answer in answers]) for name in answers[0]}

    def _cut(self, inputs: Arrays, rows: int, room: int, deadline: float | None) -> list[Task]:
        size = self._parameters.batch_size
        first = room or size
        if not self._parameters.split or rows <= first:
            return [Task(rows, inputs, deadline)]
        edges = [*range(first, rows, size), rows]
        return [
            Task(end - start, {name: array[start:end] for name, array in inputs.items()}, deadline)
            for start, end in pairwise([0, *edges])
        ]

    def _process(self, tasks: list[Task]) -> None:
        now = time.monotonic()
        for task in tasks:
            self._record_wait(now - task.queued)
        due = [task for task in tasks if not _refuse_late(task, now)]
        if due:
            self._answer(due)

    def _answer(self, tasks: Sequence[Task]) -> None:
        try:
            answers = self._together(tasks)
        except StatusError as error:
            if len(tasks) == 1:
                tasks[0].answer.set_exception(error)
                return
            # One of them may be to blame: the others shall not notice.
            for task in tasks:
                self._answer([task])
            return
        for task, answer in zip(tasks, answers, strict=True):
            task.answer.set_result(answer)

    def _together(self, tasks: Sequence[Task]) -> list[dict[str, NDArray[Any]]]:
        rows = sum(task.rows for task in tasks)
        size = self._parameters.padded_size(rows) if rows else 0
        names = tasks[0].payload
        merged = {name: self._merge(name, [task.payload[name] for task in tasks], size - rows) for name in names}
        outputs = self._call(merged)
        for name, array in outputs.items():
            _check_output(name, array, size)
        edges = np.cumsum([0, *(task.rows for task in tasks)])
        return [{name: array[start:end] for name, array in outputs.items()} for start, end in pairwise(edges)]

    def _merge(self, name: str, arrays: Sequence[NDArray[Any]], padding: int) -> NDArray[Any]:
        if self._parameters.pad_variable_length and len({array.ndim for array in arrays}) == 1:
            shape = [max(sizes) for sizes in zip(*(array.shape[1:] for array in arrays), strict=True)]
            arrays = [_widen(array, shape) for array in arrays]
        if len({array.shape[1:] for array in arrays}) > 1:
            raise StatusError(
                Code.FAILED_PRECONDITION,
                f"Tensors with name '{name}' from different tasks have different shapes and padding is turned off. "
                "Set pad_variable_length_inputs to true, or ensure that all tensors with the same name have equal "
                "dimensions starting with the first dim.",
            )
        if not padding:
            return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
        # A row that came with a request is one that the model takes.
        row = next(array[:1] for array in arrays if len(array))
        return np.concatenate([*arrays, *[row] * padding])


def _wait(task: Task) -> dict[str, NDArray[Any]]:
    left = None if task.deadline is None else max(0.0, task.deadline - time.monotonic())
    try:
        return dict(task.answer.result(left))
    except TimeoutError as error:
        raise StatusError(Code.DEADLINE_EXCEEDED, "The request's time passed before its batch was done") from error


def _rows(inputs: Arrays) -> int:
    if any(array.ndim == 0 for array in inputs.values()):
        raise StatusError(
            Code.INVALID_ARGUMENT, "Batching session Run() input tensors must have at least one dimension."
        )
    sizes = {array.shape[0] for array in inputs.values()}
    if len(sizes) != 1:
        raise StatusError(
            Code.INVALID_ARGUMENT, "Batching session Run() input tensors must have equal 0th-dimension size."
        )
    return int(sizes.pop())


def _refuse_late(task: Task, now: float) -> bool:
    if task.deadline is None or now < task.deadline:
        return False
    task.answer.set_exception(
        StatusError(Code.DEADLINE_EXCEEDED, "The request's time passed while it waited in the batching queue")
    )
    return True


def _check_output(name: str, array: NDArray[Any], rows: int) -> None:
    if array.ndim == 0:
        raise StatusError(Code.FAILED_PRECONDITION, f"Batched output tensor {name} has 0 dimensions")
    if array.shape[0] != rows:
        raise StatusError(
            Code.FAILED_PRECONDITION,
            f"Batched output tensor {name}'s 0th dimension is {array.shape[0]} and does not equal the sum of the "
            f"0th dimension sizes of the input tensors, {rows}",
        )


def _widen(array: NDArray[Any], shape: Sequence[int]) -> NDArray[Any]:
    """Fill an array up to a shape, first dimension left out, with its own first element as TensorFlow Serving does."""
    if list(array.shape[1:]) == list(shape):
        return array
    if not array.size:
        raise StatusError(Code.INVALID_ARGUMENT, f"An input of the shape {list(array.shape)} cannot be padded")
    wide = np.full((array.shape[0], *shape), array.flat[0], dtype=array.dtype)
    wide[tuple(slice(size) for size in array.shape)] = array
    return wide
