"""How requests are joined to batches: TensorFlow Serving's ``BatchingParameters``."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ml.errors import ServingError
from serving.server.text_protos import BOOL, BOOL_VALUE, INT64_LIST, INT64_VALUE, STRING_VALUE, declare, read_text_proto

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["MODEL_FILE", "BatchingParameters", "read_parameters"]

#: In a version's folder, with ``--enable_per_model_batching_parameters``.
MODEL_FILE = "batching_params.pbtxt"
MESSAGE = declare(
    {
        "BatchingParameters": {
            "max_batch_size": INT64_VALUE,
            "batch_timeout_micros": INT64_VALUE,
            "max_enqueued_batches": INT64_VALUE,
            "num_batch_threads": INT64_VALUE,
            "thread_pool_name": STRING_VALUE,
            "allowed_batch_sizes": INT64_LIST,
            "pad_variable_length_inputs": BOOL,
            "enable_large_batch_splitting": BOOL_VALUE,
            "max_execution_batch_size": INT64_VALUE,
        }
    }
)["BatchingParameters"]


@dataclass(frozen=True)
class BatchingParameters:
    """Parameters with TensorFlow Serving's defaults.

    Attributes:
        max_batch_size: rows of a request at most, and without splitting of a batch.
        timeout_seconds: how long a batch that is not full waits for more requests.
        max_enqueued_batches: of one signature; a request for which there is no room is refused.
        threads: batches that run at a time, over all models; 0 for one a processor.
        allowed_sizes: a batch is filled up to the next of these; empty for any size.
        pad_variable_length: whether inputs of different shapes may share a batch.
        split: whether a request larger than a batch is cut.
        max_execution_size: rows of a batch at most, with splitting.
        thread_pool_name: label of the queueing time in the metrics.
    """

    max_batch_size: int = 1000
    timeout_seconds: float = 0.0
    max_enqueued_batches: int = 10
    threads: int = 0
    allowed_sizes: tuple[int, ...] = ()
    pad_variable_length: bool = False
    split: bool = False
    max_execution_size: int = 1000
    thread_pool_name: str = "batch_threads"

    @property
    def batch_size(self) -> int:
        """Rows of a batch at most."""
        return self.max_execution_size if self.split else self.max_batch_size

    @property
    def thread_count(self) -> int:
        """How many batches run at a time."""
        return self.threads or os.cpu_count() or 1

    def padded_size(self, rows: int) -> int:
        """Rows after a batch has been filled up."""
        return next((size for size in self.allowed_sizes if size >= rows), rows)


def read_parameters(path: Path) -> BatchingParameters:
    """Read a text proto.

    Raises:
        ServingError: the file cannot be read, is no such proto, or its values contradict each other.
    """
    message = read_text_proto(path, MESSAGE)
    parameters = _parameters(message)
    problem = next(_problems(parameters), None)
    if problem is not None:
        raise ServingError(f"{path}: {problem}.", "Correct it; the names are those of TensorFlow Serving.")
    return parameters


def _parameters(message: Any) -> BatchingParameters:
    def value(name: str, default: Any) -> Any:
        return getattr(message, name).value if message.HasField(name) else default

    default = BatchingParameters()
    largest = value("max_batch_size", default.max_batch_size)
    return BatchingParameters(
        max_batch_size=largest,
        timeout_seconds=value("batch_timeout_micros", 0) / 1e6,
        max_enqueued_batches=value("max_enqueued_batches", default.max_enqueued_batches),
        threads=value("num_batch_threads", default.thread_count),
        allowed_sizes=tuple(message.allowed_batch_sizes),
        pad_variable_length=message.pad_variable_length_inputs,
        split=value("enable_large_batch_splitting", False),
        max_execution_size=value("max_execution_batch_size", largest),
        thread_pool_name=value("thread_pool_name", default.thread_pool_name),
    )


def _problems(parameters: BatchingParameters) -> Iterator[str]:
    """What TensorFlow Serving refuses to start with, in sentences without a stop."""
    counts = {
        "max_batch_size": parameters.max_batch_size,
        "max_enqueued_batches": parameters.max_enqueued_batches,
        "num_batch_threads": parameters.threads,
        "max_execution_batch_size": parameters.max_execution_size,
    }
    for name, count in counts.items():
        if count < 1:
            yield f"{name} is {count}, and must be 1 or more"
    if parameters.timeout_seconds < 0:
        yield f"batch_timeout_micros is {parameters.timeout_seconds * 1e6:.0f}, and must not be negative"
    if parameters.split and parameters.max_execution_size > parameters.max_batch_size:
        yield (
            f"max_execution_batch_size is {parameters.max_execution_size}, "
            f"and must not exceed max_batch_size, which is {parameters.max_batch_size}"
        )
    sizes = parameters.allowed_sizes
    if list(sizes) != sorted(set(sizes)) or any(size < 1 for size in sizes):
        yield f"allowed_batch_sizes are {list(sizes)}, and must be positive and increase"
    if sizes and sizes[-1] != parameters.batch_size:
        name = "max_execution_batch_size" if parameters.split else "max_batch_size"
        yield f"the last of allowed_batch_sizes is {sizes[-1]}, and must equal {name}, which is {parameters.batch_size}"
