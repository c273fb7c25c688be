"""SavedModels with signatures of every form that TensorFlow Serving's protocol knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

if TYPE_CHECKING:
    from pathlib import Path

CLASSIFY, REGRESS = "tensorflow/serving/classify", "tensorflow/serving/regress"
METHODS = {"classify": CLASSIFY, "scores": CLASSIFY, "flat": CLASSIFY, "regress": REGRESS, "kinds": REGRESS}


def _examples() -> list[tf.TensorSpec]:
    return [tf.TensorSpec([None], tf.string, "inputs")]


def _x(inputs: Any) -> Any:
    return tf.io.parse_example(inputs, {"x": tf.io.FixedLenFeature([], tf.float32)})["x"]


class Several(tf.Module):
    """Numbers, text and examples; several inputs and outputs; outputs that are no batch."""

    @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, "x"), tf.TensorSpec([None], tf.int64, "n")])
    def add(self, x: Any, n: Any) -> dict[str, Any]:
        return {"total": tf.reduce_sum(x, axis=1) + tf.cast(n, tf.float32), "n": n}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])
    def half(self, x: Any) -> dict[str, Any]:
        return {"y": x / 2}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])
    def positive(self, x: Any) -> dict[str, Any]:
        with tf.control_dependencies([tf.debugging.assert_positive(x, "a number is not positive")]):
            return {"y": tf.identity(x)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "text")])
    def echo(self, text: Any) -> dict[str, Any]:
        return {"text": text, "raw_bytes": text}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "text")])
    def length(self, text: Any) -> dict[str, Any]:
        return {"length": tf.strings.length(text)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])
    def scalar(self, x: Any) -> dict[str, Any]:
        return {"mean": tf.reduce_mean(x)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])
    def ragged(self, x: Any) -> dict[str, Any]:
        return {"all": x, "first": x[:1]}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.half, "x")])
    def halves(self, x: Any) -> dict[str, Any]:
        return {"y": x}

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.int64, "x")])
    def longs(self, x: Any) -> dict[str, Any]:
        return {"y": x}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.uint8, "x")])
    def bytes_(self, x: Any) -> dict[str, Any]:
        return {"y": x}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.bool, "x")])
    def bools(self, x: Any) -> dict[str, Any]:
        return {"y": x}

    @tf.function(input_signature=[tf.TensorSpec([], tf.int32, "steps")])
    def slow(self, steps: Any) -> dict[str, Any]:
        product = tf.eye(200)
        for _ in tf.range(steps):
            product = tf.linalg.l2_normalize(product @ product + 1.0)
        return {"y": tf.reduce_sum(product)}

    @tf.function(input_signature=_examples())
    def classify(self, inputs: Any) -> dict[str, Any]:
        x = _x(inputs)
        classes = tf.tile(tf.constant([["low", "high"]]), [tf.size(x), 1])
        return {"classes": classes, "scores": tf.stack([1 - x, x], axis=1)}

    @tf.function(input_signature=_examples())
    def scores(self, inputs: Any) -> dict[str, Any]:
        return {"scores": _x(inputs)[:, tf.newaxis]}

    @tf.function(input_signature=_examples())
    def flat(self, inputs: Any) -> dict[str, Any]:
        return {"scores": _x(inputs)}

    @tf.function(input_signature=_examples())
    def regress(self, inputs: Any) -> dict[str, Any]:
        return {"outputs": 2 * _x(inputs)}

    @tf.function(input_signature=_examples())
    def kinds(self, inputs: Any) -> dict[str, Any]:
        """Tells by its digits of what kind the features i, f and s are."""
        parsed = tf.io.parse_example(
            inputs,
            {
                "i": tf.io.FixedLenFeature([], tf.int64, 0),
                "f": tf.io.FixedLenFeature([], tf.float32, 0.0),
                "s": tf.io.FixedLenFeature([], tf.string, ""),
            },
        )
        length = tf.strings.length(parsed["s"])
        return {"outputs": 100.0 * tf.cast(length, tf.float32) + tf.cast(parsed["i"], tf.float32) + parsed["f"]}


SIGNATURES = (
    "add",
    "half",
    "positive",
    "echo",
    "length",
    "scalar",
    "ragged",
    "halves",
    "longs",
    "bytes_",
    "bools",
    "slow",
    "classify",
    "scores",
    "flat",
    "regress",
    "kinds",
)


def save_several(folder: Path) -> Path:
    """Write :class:`Several` with ``half`` as ``serving_default``; the name of each signature is its method's."""
    module = Several()
    signatures = {name: getattr(module, name) for name in SIGNATURES}
    tf.saved_model.save(module, str(folder), signatures=signatures | {"serving_default": module.half})
    _set_methods(folder / "saved_model.pb")
    return folder


def save_shared(folder: Path) -> Path:
    """Write a model of TensorFlow 1 whose signatures ``classify`` and ``regress`` share their input tensor."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        inputs = tf.compat.v1.placeholder(tf.string, [None], "examples")
        x = _x(inputs)
        sent = {"inputs": tf.compat.v1.saved_model.build_tensor_info(inputs)}
        scores = {"scores": tf.compat.v1.saved_model.build_tensor_info(x[:, tf.newaxis])}
        outputs = {"outputs": tf.compat.v1.saved_model.build_tensor_info(2 * x)}
        build = tf.compat.v1.saved_model.signature_def_utils.build_signature_def
        builder = tf.compat.v1.saved_model.Builder(str(folder))
        builder.add_meta_graph_and_variables(
            session,
            ["serve"],
            signature_def_map={
                "classify": build(sent, scores, CLASSIFY),
                "regress": build(sent, outputs, REGRESS),
            },
        )
        builder.save()
    return folder


def _set_methods(path: Path) -> None:
    """Give signatures the method that ``tf.saved_model.save`` has no argument for."""
    saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    for name, method in METHODS.items():
        saved.meta_graphs[0].signature_def[name].method_name = method
    path.write_bytes(saved.SerializeToString())
