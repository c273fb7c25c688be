import io
import struct

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from ml.backbones import BACKBONES
from ml.preprocessing import decode_and_resize, decode_batch, decode_each


def encode(pixels, kind="PNG"):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind)
    return stream.getvalue()


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("shape", [(40, 60, 3), (60, 40)], ids=["rgb", "grey"])
def test_every_image_becomes_a_float_square_between_0_and_1(shape, kind):
    tensor = decode_and_resize(tf.constant(encode(noise(*shape), kind)), 32)

    assert (tensor.shape, tensor.dtype) == ((32, 32, 3), tf.float32)
    assert 0 <= float(tf.reduce_min(tensor)) < float(tf.reduce_max(tensor)) <= 1


def test_image_of_the_right_size_keeps_its_pixels():
    pixels = noise(32, 32, 3)

    np.testing.assert_allclose(decode_and_resize(tf.constant(encode(pixels)), 32) * 255, pixels, atol=1e-3)


def test_grey_is_repeated_over_the_channels():
    tensor = decode_and_resize(tf.constant(encode(noise(50, 50))), 32).numpy()

    np.testing.assert_array_equal(tensor[..., 0], tensor[..., 1])
    np.testing.assert_array_equal(tensor[..., 0], tensor[..., 2])


def test_one_by_one_is_the_same_as_in_a_batch():
    encoded = [encode(noise(40, 60, 3)), encode(noise(64, 30), "JPEG")]

    batch = decode_batch(tf.constant(encoded), 32)

    np.testing.assert_array_equal(batch, [decode_and_resize(tf.constant(data), 32) for data in encoded])


def test_bytes_that_are_no_image_are_an_error():
    with pytest.raises(tf.errors.InvalidArgumentError, match="Unknown image file format"):
        decode_and_resize(tf.constant(b"no image"), 32)


PHOTO, DRAWING = encode(noise(60, 80, 3), "JPEG"), encode(noise(60, 80, 3))


def with_size(encoded, width, height):
    """A JPEG or PNG whose header promises another size; a PNG's checksum is wrong then."""
    if encoded.startswith(b"\x89PNG"):
        return encoded[:16] + struct.pack(">II", width, height) + encoded[24:]
    start = encoded.index(b"\xff\xc0") + 5
    return encoded[:start] + struct.pack(">HH", height, width) + encoded[start + 4 :]


def flipped(encoded, position):
    damaged = bytearray(encoded)
    damaged[position] ^= 255
    return bytes(damaged)


BROKEN = {
    "no bytes": b"",
    "text": b"This is no image at all, however long it is.",
    "cut JPEG": PHOTO[: len(PHOTO) // 2],
    "JPEG without its end": PHOTO[:-2],
    "beginning of a JPEG": PHOTO[:3],
    "JPEG of 65000 x 65000": with_size(PHOTO, 65000, 65000),
    "JPEG of too many pixels": with_size(PHOTO, 4000, 4000),
    "cut PNG": DRAWING[: len(DRAWING) // 2],
    "beginning of a PNG": DRAWING[:8],
    "PNG without its end": DRAWING[:-12],
    "PNG whose header has a wrong checksum": flipped(DRAWING, 29),
    "PNG whose pixels have a wrong checksum": flipped(DRAWING, -17),
    "PNG of too many pixels": encode(np.zeros((1100, 1000), np.uint8)),
    "PNG of 2 ** 31 rows": with_size(DRAWING, 80, 2**31),
    "beginning of a GIF": b"GIF89a",
    "beginning of a BMP": b"BM",
    "TIFF": encode(noise(60, 80, 3), "TIFF"),
}


@pytest.fixture(scope="module")
def decode():
    """``decode_each`` as an exported model runs it, of at most a million pixels."""
    specification = [tf.TensorSpec([None], tf.string)]
    return tf.function(lambda encoded: decode_each(encoded, 32, 10**6), input_signature=specification)


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_broken_image_is_black_and_said_to_be_broken_and_the_others_are_as_ever(decode, broken):
    pixels, decoded = decode(tf.constant([PHOTO, broken, DRAWING]))

    assert decoded.numpy().tolist() == [True, False, True]
    assert not pixels[1].numpy().any()
    np.testing.assert_array_equal(pixels.numpy()[[0, 2]], decode_batch(tf.constant([PHOTO, DRAWING]), 32))


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_broken_image_alone_is_answered_too(decode, broken):
    pixels, decoded = decode(tf.constant([broken]))

    assert decoded.numpy().tolist() == [False]
    assert not pixels.numpy().any()


@pytest.mark.parametrize("count", [0, 1, 2, 40])
def test_batch_of_any_length_comes_back_in_its_order(decode, count):
    encoded = [encode(np.full((40, 40, 3), value, np.uint8)) for value in range(count)]

    pixels, decoded = decode(tf.constant(encoded, tf.string))

    assert (pixels.shape, decoded.shape) == ((count, 32, 32, 3), (count,))
    np.testing.assert_allclose(pixels[:, 0, 0, 0] * 255, np.arange(count), atol=1e-3)
    assert decoded.numpy().all()


@pytest.mark.parametrize("kind", ["BMP", "GIF", "WEBP"])
def test_other_formats_that_tensorflow_reads_are_decoded(decode, kind):
    encoded = tf.constant([encode(noise(60, 80, 3), kind)])

    pixels, decoded = decode(encoded)

    assert decoded.numpy().all()
    np.testing.assert_array_equal(pixels, decode_batch(encoded, 32))


@pytest.mark.parametrize("name", BACKBONES)
def test_adapter_gives_what_keras_own_preprocessing_gives(name):
    module = {"vgg16": "vgg16", "vgg19": "vgg19", "mobilenet": "mobilenet", "xception": "xception"}[name]
    images = noise(2, 8, 8, 3).astype(np.float32)
    expected = getattr(keras.applications, module).preprocess_input(images.copy())

    np.testing.assert_allclose(BACKBONES[name].adapter(images / 255), expected, atol=1e-4)
