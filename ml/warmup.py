"""Requests that a server runs inside the load of a version: one that cannot answer them is never served."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from ml import layout
from ml.preprocessing import decode_batch
from ml.signatures import CLASSIFY, EXAMPLE_FEATURE

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["make_example", "write_warmup"]


def write_warmup(folder: Path, model_name: str, image: bytes) -> None:
    """Write one warm-up request for each signature of an exported model.

    Args:
        folder: the SavedModel's.
        model_name: that it is served under.
        image: an encoded image that can be decoded; every request asks about it.
    """
    from tensorflow_serving.apis import prediction_log_pb2

    path = folder / layout.WARMUP
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for name, definition in sorted(_signatures(folder).items()):
            log = prediction_log_pb2.PredictionLog()
            if name == CLASSIFY:
                _fill_classify(log.classify_log.request, image)
                spec = log.classify_log.request.model_spec
            else:
                _fill_predict(log.predict_log.request, definition, image)
                spec = log.predict_log.request.model_spec
            spec.name, spec.signature_name = model_name, name
            writer.write(log.SerializeToString())


def make_example(image: bytes) -> Any:
    """An image as signature ``classify`` takes it."""
    feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[image]))
    return tf.train.Example(features=tf.train.Features(feature={EXAMPLE_FEATURE: feature}))


def _fill_classify(request: Any, image: bytes) -> None:
    request.input.example_list.examples.append(make_example(image))


def _fill_predict(request: Any, definition: Any, image: bytes) -> None:
    if "images" in definition.inputs:
        size = definition.inputs["images"].tensor_shape.dim[1].size
        request.inputs["images"].CopyFrom(tf.make_tensor_proto(decode_batch(tf.constant([image]), size)))
    else:
        request.inputs["image_bytes"].CopyFrom(tf.make_tensor_proto([image], dtype=tf.string))


def _signatures(folder: Path) -> dict[str, Any]:
    saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    found = dict(saved.meta_graphs[0].signature_def)
    return {name: definition for name, definition in found.items() if not name.startswith("__")}
