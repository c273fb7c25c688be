import io

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from ml.backbones import BACKBONES
from ml.preprocessing import decode_and_resize, decode_batch


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


@pytest.mark.parametrize("name", BACKBONES)
def test_adapter_gives_what_keras_own_preprocessing_gives(name):
    module = {"vgg16": "vgg16", "vgg19": "vgg19", "mobilenet": "mobilenet", "xception": "xception"}[name]
    images = noise(2, 8, 8, 3).astype(np.float32)
    expected = getattr(keras.applications, module).preprocess_input(images.copy())

    np.testing.assert_allclose(BACKBONES[name].adapter(images / 255), expected, atol=1e-4)
