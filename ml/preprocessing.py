"""From encoded bytes to the tensor every backbone sees: one set of TensorFlow ops for training and serving."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

__all__ = ["PREPROCESSING_VERSION", "decode_and_resize", "decode_batch", "decode_each"]

#: Part of every feature's fingerprint: raise it when the ops below change what they return.
PREPROCESSING_VERSION = 2
#: Images of a request that are decoded at once, as far as TensorFlow has threads.
AT_ONCE = 16
PNG_BEGINS = b"\x89PNG"
#: Where a PNG's header has its width and height: two big-endian integers of 32 bits.
PNG_SIZE = (16, 8)


def decode_and_resize(image_bytes: Any, size: int) -> Any:
    """Decode one image and resize it.

    Args:
        image_bytes: scalar string tensor, an encoded JPEG, PNG, BMP, GIF (its first frame) or WebP. 16 bits are cut to
            8, alpha is dropped.
        size: height and width of the result, pixels.

    Returns:
        float32 [size, size, 3], RGB in [0, 1]. Grey images are repeated over the three channels.

    Raises:
        tf.errors.InvalidArgumentError: the bytes are not an image TensorFlow decodes.
    """
    pixels = tf.io.decode_image(image_bytes, channels=3, expand_animations=False)
    larger = tf.reduce_min(tf.shape(pixels)[:2]) >= size
    resized = tf.cond(larger, lambda: _shrink(pixels, size), lambda: _stretch(pixels, size))
    # Times the reciprocal, which is what TensorFlow makes of a division where it optimises a graph, and only there.
    return tf.ensure_shape(tf.minimum(resized * (1.0 / 255.0), 1.0), (size, size, 3))


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


def decode_each(image_bytes: Any, size: int, max_pixels: int) -> tuple[Any, Any]:
    """Decode and resize a batch in which some images may be broken.

    Good images have the pixels that :func:`decode_batch` gives them. What cannot be decoded is found by decoding it:
    tf.data is the one part of TensorFlow that can leave out what an operation refuses.

    Args:
        image_bytes: string [N].
        size: height and width of the result, pixels.
        max_pixels: a JPEG or PNG whose header promises more is not decoded: a small file can ask for gigabytes.

    Returns:
        float32 [N, size, size, 3] in [0, 1], black where an image is broken, and bool [N], whether each was decoded.
    """

    def decode(encoded: Any) -> tuple[Any, Any]:
        return decode_and_resize(_refuse_large(encoded, max_pixels), size), True

    def decode_or_black(encoded: Any) -> Any:
        decoded = tf.data.Dataset.from_tensors(encoded).map(decode).ignore_errors()
        black = tf.data.Dataset.from_tensors((tf.zeros((size, size, 3)), False))
        return _only_element(decoded.concatenate(black).take(1))

    def decode_one() -> Any:
        # Threads cost a single image more than half of its decoding. An empty batch decodes a row that is cut off.
        pixels, decoded = decode_or_black(tf.concat((image_bytes, [b""]), axis=0)[0])
        return pixels[None][: tf.size(image_bytes)], decoded[None][: tf.size(image_bytes)]

    def decode_several() -> Any:
        rows = tf.data.Dataset.from_tensor_slices(image_bytes).map(decode_or_black, num_parallel_calls=AT_ONCE)
        return _only_element(rows.batch(tf.size(image_bytes, out_type=tf.int64)))

    pixels, decoded = tf.cond(tf.size(image_bytes) > 1, decode_several, decode_one)
    return tf.ensure_shape(pixels, (None, size, size, 3)), tf.ensure_shape(decoded, (None,))


def _only_element(dataset: Any) -> Any:
    options = tf.data.Options()
    # For a pipeline that lives as long as one request there is nothing to learn and nothing worth rewriting.
    options.autotune.enabled = False
    options.experimental_optimization.apply_default_optimizations = False
    return dataset.with_options(options).get_single_element()


def _refuse_large(encoded: Any, max_pixels: int) -> Any:
    """The bytes, or none for an image of too many pixels; a header that cannot be read is an error."""
    zero = tf.constant(0, tf.int64)
    is_png = tf.strings.substr(encoded, 0, len(PNG_BEGINS)) == PNG_BEGINS
    pixels = tf.cond(
        tf.io.is_jpeg(encoded),
        lambda: tf.reduce_prod(tf.cast(tf.image.extract_jpeg_shape(encoded), tf.int64)[:2]),
        lambda: tf.cond(is_png, lambda: _png_pixels(encoded), lambda: zero),
    )
    return tf.where(pixels > max_pixels, b"", encoded)


def _png_pixels(encoded: Any) -> Any:
    sides = tf.io.decode_raw(tf.strings.substr(encoded, *PNG_SIZE), tf.int32, little_endian=False)
    return tf.reduce_prod(tf.cast(sides, tf.int64))
