"""Requests that a version must answer before it serves."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import tensorflow as tf
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from tensorflow_serving.apis import prediction_log_pb2

from serving.server import inference
from serving.server.metrics import ServerMetrics
from serving.server.status import Code, StatusError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from serving.server.model import LoadedModel

__all__ = ["WARMUP_FILE", "WarmUp"]

WARMUP_FILE = "assets.extra/tf_serving_warmup_requests"
MAX_RECORDS = 1000
#: From a record's kind to what answers its request.
REPLAYS: dict[str, Callable[..., Any]] = {
    "predict_log": inference.predict,
    "classify_log": inference.classify,
    "regress_log": inference.regress,
    "multi_inference_log": inference.multi_inference,
}


@dataclass(frozen=True)
class WarmUp:
    """How a version's warm-up requests are run inside its load.

    Attributes:
        enabled: whether they are run.
        iterations: how often each one.
        metrics: get the time that a version's warm-up takes.
    """

    enabled: bool = True
    iterations: int = 1
    metrics: ServerMetrics = field(default_factory=ServerMetrics)

    def run(self, model: LoadedModel, folder: Path) -> None:
        """Run a version's warm-up requests; a version without any is fine.

        Raises:
            StatusError: a request fails, is of a kind that cannot be replayed, is unreadable, or there are too many.
        """
        path = folder / WARMUP_FILE
        if not self.enabled or not path.exists():
            return
        started = time.monotonic()
        for record in _read(path):
            request, replay = _parse(record)
            for _ in range(self.iterations):
                replay(model, request, model.run)
        self.metrics.warmup_latency.observe((time.monotonic() - started) * 1e6, str(folder), Code.OK.name)


def _read(path: Path) -> list[bytes]:
    try:
        records = list(tf.data.TFRecordDataset(str(path)).take(MAX_RECORDS + 1).as_numpy_iterator())
    except tf.errors.OpError as error:
        raise StatusError(Code(error.error_code), f"{WARMUP_FILE} is no TFRecord file: {error.message}") from error
    if len(records) > MAX_RECORDS:
        raise StatusError(Code.INVALID_ARGUMENT, f"{WARMUP_FILE} holds more than {MAX_RECORDS} records")
    return records


def _parse(record: bytes) -> tuple[Any, Callable[..., Any]]:
    try:
        log = prediction_log_pb2.PredictionLog.FromString(record)
    except DecodeError as error:
        raise StatusError(Code.INVALID_ARGUMENT, f"{WARMUP_FILE} holds a record that cannot be parsed") from error
    kind = log.WhichOneof("log_type")
    if kind not in REPLAYS:
        raise StatusError(Code.UNIMPLEMENTED, f"Unsupported log_type for warmup: {kind}")
    return getattr(log, kind).request, REPLAYS[kind]
