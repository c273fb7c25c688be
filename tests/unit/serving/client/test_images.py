import io

import numpy as np
import PIL.Image
import pytest

from serving.client import InvalidRequestError
from serving.client._images import Encoded, Pixels, prepare

GENERATOR = np.random.default_rng(0)


def decode(data):
    return np.asarray(PIL.Image.open(io.BytesIO(data)))


@pytest.mark.parametrize("shape", [(5, 7, 3), (5, 7), (1, 1)], ids=str)
def test_uint8_arrays_are_encoded_without_loss(shape):
    pixels = GENERATOR.integers(0, 256, shape, dtype=np.uint8)

    (data,) = prepare([pixels]).images

    np.testing.assert_array_equal(decode(data), pixels)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_pictures_are_encoded_without_loss(mode):
    picture = PIL.Image.new("RGB", (6, 4), (200, 30, 90)).convert("L" if mode == "I;16" else mode)
    picture = picture.convert(mode)

    (data,) = prepare(picture).images

    found = PIL.Image.open(io.BytesIO(data))
    assert found.mode == mode
    np.testing.assert_array_equal(np.asarray(found), np.asarray(picture))


def test_bytes_are_sent_as_they_are():
    assert prepare([b"a", bytearray(b"b"), memoryview(b"c")]) == Encoded((b"a", b"b", b"c"))


def test_floats_are_stacked():
    images = [GENERATOR.random((4, 4, 3)), GENERATOR.random((4, 4, 3)).astype(np.float16)]

    prepared = prepare(images)

    assert isinstance(prepared, Pixels)
    assert (prepared.array.dtype, prepared.array.shape) == (np.float32, (2, 4, 4, 3))
    np.testing.assert_array_equal(prepared.array[0], images[0].astype(np.float32))


def test_nothing_is_nothing():
    assert prepare([]) == Encoded(())


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((4, 4, 4), np.uint8), r"array of uint8 \[4, 4, 4\]"),
        (np.zeros((0, 4, 3), np.uint8), r"array of uint8 \[0, 4, 3\]"),
        (np.zeros((4, 4, 3), np.int64), r"array of int64 \[4, 4, 3\]"),
        (np.zeros((4, 4)), r"array of float64 \[4, 4\]"),
        (np.zeros((4, 5, 3)), r"array of float64 \[4, 5, 3\]"),
        (np.full((4, 4, 3), 200.0), r"values from 200 to 200, not in \[0, 1\]"),
        (np.full((4, 4, 3), np.nan), "values from nan to nan"),
        (PIL.Image.new("CMYK", (4, 4)), "mode CMYK"),
        (PIL.Image.new("F", (4, 4)), "mode F"),
        ("no/such/file.png", "no/such/file.png cannot be read"),
        (7, "type int is no image: 7"),
        (None, "type NoneType is no image"),
    ],
)
def test_what_is_no_image_is_named_with_a_remedy(image, message):
    with pytest.raises(InvalidRequestError, match=message) as caught:
        prepare([image])

    assert caught.value.remedy


def test_floats_and_others_are_not_mixed():
    with pytest.raises(InvalidRequestError, match="1 of 2"):
        prepare([np.zeros((4, 4, 3)), b"png"])


def test_floats_of_two_sizes_are_not_mixed():
    with pytest.raises(InvalidRequestError, match=r"\(4, 4, 3\), \(5, 5, 3\)"):
        prepare([np.zeros((4, 4, 3)), np.zeros((5, 5, 3))])
