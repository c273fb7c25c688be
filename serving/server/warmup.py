"""Requests that a version must answer before it serves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import tensorflow as tf
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from tensorflow_serving.apis import prediction_log_pb2

from serving.server.status import Code, StatusError

if TYPE_CHECKING:
    from pathlib import Path

    from serving.server.model import LoadedModel

__all__ = ["WARMUP_FILE", "warm_up"]

WARMUP_FILE = "assets.extra/tf_serving_warmup_requests"
MAX_RECORDS = 1000


def warm_up(model: LoadedModel, folder: Path) -> None:
    """Run a version's warm-up requests; a version without any is fine.

    Raises:
        StatusError: a request fails, is of a kind other than predict, is unreadable, or there are too many.
    """
    path = folder / WARMUP_FILE
    if not path.exists():
        return
    try:
        records = list(tf.data.TFRecordDataset(str(path)).take(MAX_RECORDS + 1).as_numpy_iterator())
    except tf.errors.OpError as error:
        raise StatusError(Code(error.error_code), f"{WARMUP_FILE} is no TFRecord file: {error.message}") from error
    if len(records) > MAX_RECORDS:
        raise StatusError(Code.INVALID_ARGUMENT, f"{WARMUP_FILE} holds more than {MAX_RECORDS} records")
    for record in records:
        _replay(model, record)


def _replay(model: LoadedModel, record: bytes) -> None:
    try:
        log = prediction_log_pb2.PredictionLog.FromString(record)
    except DecodeError as error:
        raise StatusError(Code.INVALID_ARGUMENT, f"{WARMUP_FILE} holds a record that cannot be parsed") from error
    kind = log.WhichOneof("log_type")
    if kind != "predict_log":
        raise StatusError(Code.UNIMPLEMENTED, f"Warm-up takes predict requests, not {kind}")
    request = log.predict_log.request
    name = request.model_spec.signature_name or "serving_default"
    model.run(name, model.parse(name, request.inputs))
