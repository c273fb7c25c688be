"""From encoded bytes to the tensor every backbone sees: one set of TensorFlow ops for training and serving."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

__all__ = ["PREPROCESSING_VERSION", "decode_and_resize", "decode_batch"]

#: Part of every feature's fingerprint: raise it when the ops below change what they return.
PREPROCESSING_VERSION = 2


def decode_and_resize(image_bytes: Any, size: int) -> Any:
    """Decode one image and resize it.

    Args:
        image_bytes: scalar string tensor, an encoded 8-bit JPEG, PNG, BMP or GIF.
        size: height and width of the result, pixels.

    Returns:
        float32 [size, size, 3], RGB in [0, 1]. Grey images are repeated over the three channels.

    Raises:
        tf.errors.InvalidArgumentError: the bytes are not an image TensorFlow decodes.
    """
    pixels = tf.io.decode_image(image_bytes, channels=3, expand_animations=False)
    larger = tf.reduce_min(tf.shape(pixels)[:2]) >= size
    resized = tf.cond(larger, lambda: _shrink(pixels, size), lambda: _stretch(pixels, size))
    return tf.ensure_shape(tf.minimum(resized / 255.0, 1.0), (size, size, 3))


def _shrink(pixels: Any, size: int) -> Any:
    """Each pixel is the mean of the area it covers: no aliasing, in a quarter of the time of a triangle filter."""
    return tf.image.resize(pixels, (size, size), method="area")


def _stretch(pixels: Any, size: int) -> Any:
    """Between pixels where an axis grows; without aliasing where the other one shrinks."""
    return tf.image.resize(pixels, (size, size), method="bilinear", antialias=True)


def decode_batch(image_bytes: Any, size: int) -> Any:
    """Decode and resize a batch: string [N] to float32 [N, size, size, 3] in [0, 1]."""
    return tf.map_fn(
        lambda encoded: decode_and_resize(encoded, size),
        image_bytes,
        fn_output_signature=tf.TensorSpec((size, size, 3), tf.float32),
    )
