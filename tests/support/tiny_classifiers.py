"""Versions of a classifier of this project's signature, in seconds: mean colour times weights of the version's own."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
from PIL import Image

from ml.publication import upload_version

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["CLASSES", "Published", "draw", "expected", "publish_version"]

CLASSES = ("round", "square", "star")


@dataclass(frozen=True)
class Published:
    """What :func:`ml.steps.publish.run` would have returned of a version."""

    version: int

    def to_dict(self) -> dict[str, Any]:
        return {
            "run_id": f"run-{self.version}",
            "variant": "vgg16",
            "snapshot_id": "000001",
            "version": self.version,
        }


class _Classifier(tf.Module):
    def __init__(self, version: int) -> None:
        super().__init__()
        self.weight = tf.Variable(weights(version))
        self.names = tf.constant(CLASSES)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
    def classify(self, image_bytes: Any) -> dict[str, Any]:
        def mean_colour(encoded: Any) -> Any:
            pixels = tf.io.decode_image(encoded, channels=3, expand_animations=False)
            return tf.reduce_mean(tf.cast(pixels, tf.float32) / 255.0, axis=(0, 1))

        colours = tf.map_fn(mean_colour, image_bytes, fn_output_signature=tf.TensorSpec([3], tf.float32))
        probabilities = tf.nn.softmax(colours @ self.weight)
        class_id = tf.argmax(probabilities, axis=1, output_type=tf.int64)
        return {
            "probabilities": probabilities,
            "class_id": class_id,
            "class_name": tf.gather(self.names, class_id),
            "status": tf.fill(tf.shape(class_id), "OK"),
        }


def weights(version: int) -> np.ndarray:
    return np.random.default_rng(version).normal(0, 2, (3, 3)).astype(np.float32)


def expected(version: int, image: bytes) -> np.ndarray:
    """The probabilities that a version answers an image with, float32 [3]."""
    colour = (np.asarray(Image.open(io.BytesIO(image)), np.float32) / 255).mean(axis=(0, 1))
    powers = np.exp(colour @ weights(version))
    return powers / powers.sum()


def draw(seed: int, size: int = 16) -> bytes:
    """A PNG of noise in a colour of its own."""
    generator = np.random.default_rng(seed)
    pixels = generator.integers(0, 256, (size, size, 3)) * generator.uniform(0.2, 1, 3)
    stream = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def publish_version(store: Any, model_name: str, version: int, folder: Path) -> Published:
    """Export a version and write it to the store, its sums last."""
    module = _Classifier(version)
    path = folder / f"export-{version}"
    tf.saved_model.save(module, str(path), signatures={"serving_default": module.classify})
    upload_version(store, path, model_name, version)
    return Published(version)
