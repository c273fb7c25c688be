"""What a served model can be asked, and how its answers look."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.python.saved_model import fingerprinting_utils

from ml.preprocessing import decode_each

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

__all__ = ["CLASSIFY", "DECODED", "EXAMPLE_FEATURE", "UNDECODABLE", "ServedModel", "set_methods"]

#: Values of the output ``status``.
DECODED, UNDECODABLE = "OK", "UNDECODABLE"
CLASSIFY = "classify"
CLASSIFY_METHOD = "tensorflow/serving/classify"
#: Of a tf.Example: the image, as ``image_bytes`` of the other signatures.
EXAMPLE_FEATURE = "image_bytes"


class ServedModel(tf.Module):  # type: ignore[misc]
    """A model with the signatures that it is published with.

    ==================  =====================================  ================================================
    signature           input                                  outputs
    ==================  =====================================  ================================================
    `serving_default`   `image_bytes` string [N]               `probabilities` float32 [N, C], `class_id` int64
                                                               [N], `class_name` string [N], `status` string [N]
    `serving_tensor`    `images` float32 [N, size, size, 3]    the same; `status` is always OK
                        in [0, 1]
    `explain`           `image_bytes` string [N]               the same and `attention` float32 [N, H, W]
    `classify`          `inputs` string [N]: tf.Examples with  `classes` string [N, C], `scores` float32 [N, C]
                        one bytes feature `image_bytes`
    ==================  =====================================  ================================================

    ``status`` is OK, or UNDECODABLE for bytes that :func:`ml.preprocessing.decode_each` cannot decode: such an image
    has probabilities, scores and attention of 0, class -1 and no name, and the others are answered as if it were not
    there.

    Args:
        model: float32 [N, size, size, 3] in [0, 1] to ``probabilities`` and ``attention``; all signatures share it.
        size: height and width of its images, pixels.
        classes: labels in the order of its outputs.
        max_pixels: as :func:`ml.preprocessing.decode_each` takes it.
    """

    def __init__(self, model: Callable[..., Any], size: int, classes: Sequence[str], max_pixels: int) -> None:
        super().__init__(name="served")
        self.model = model
        self._size = size
        self._classes = tuple(classes)
        self._decode = tf.function(
            lambda encoded: decode_each(encoded, size, max_pixels),
            input_signature=[tf.TensorSpec([None], tf.string)],
            autograph=False,
        )

    def signatures(self) -> dict[str, Any]:
        """Functions of one input each, by the names that they are published under."""
        encoded = tf.TensorSpec([None], tf.string, name="image_bytes")
        tensor = tf.TensorSpec([None, self._size, self._size, 3], tf.float32, name="images")
        examples = tf.TensorSpec([None], tf.string, name="inputs")
        functions = {
            "serving_default": (self._from_bytes, encoded),
            "serving_tensor": (self._from_tensor, tensor),
            "explain": (self._explain, encoded),
            CLASSIFY: (self._classify, examples),
        }
        return {
            name: tf.function(function, autograph=False).get_concrete_function(spec)
            for name, (function, spec) in functions.items()
        }

    def _from_bytes(self, image_bytes: Any) -> dict[str, Any]:
        return _without_attention(self._answer(*self._decode(image_bytes)))

    def _from_tensor(self, images: Any) -> dict[str, Any]:
        return _without_attention(self._answer(images, tf.ones(tf.shape(images)[:1], tf.bool)))

    def _explain(self, image_bytes: Any) -> dict[str, Any]:
        return self._answer(*self._decode(image_bytes))

    def _classify(self, inputs: Any) -> dict[str, Any]:
        features = tf.io.parse_example(inputs, {EXAMPLE_FEATURE: tf.io.FixedLenFeature((), tf.string)})
        scores = self._answer(*self._decode(features[EXAMPLE_FEATURE]))["probabilities"]
        labels = tf.constant(self._classes)
        return {"classes": tf.broadcast_to(labels, (tf.shape(scores)[0], len(self._classes))), "scores": scores}

    def _answer(self, images: Any, decoded: Any) -> dict[str, Any]:
        output = self.model(images)
        best = tf.argmax(output["probabilities"], axis=1, output_type=tf.int64)
        return {
            "probabilities": tf.where(decoded[:, None], output["probabilities"], 0.0),
            "class_id": tf.where(decoded, best, tf.constant(-1, tf.int64)),
            "class_name": tf.where(decoded, tf.gather(tf.constant(self._classes), best), ""),
            "status": tf.where(decoded, DECODED, UNDECODABLE),
            "attention": tf.where(decoded[:, None, None], output["attention"], 0.0),
        }


def _without_attention(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name != "attention"}


def set_methods(folder: Path) -> None:
    """Say in a SavedModel that ``classify`` is for TensorFlow Serving's Classify: TensorFlow writes predict for all."""
    path = folder / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    for graph in saved.meta_graphs:
        graph.signature_def[CLASSIFY].method_name = CLASSIFY_METHOD
    path.write_bytes(saved.SerializeToString(deterministic=True))
    fingerprinting_utils.write_fingerprint(str(folder))
