from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from ml.thumbnails import compact_picture, load_thumbnails, thumbnail


def encoded(mode, size, format_name):
    stream = io.BytesIO()
    Image.new(mode, size, 90).save(stream, format_name)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("mode", "format_name"), [("L", "PNG"), ("RGBA", "PNG"), ("P", "PNG"), ("CMYK", "JPEG"), ("RGB", "JPEG")]
)
def test_a_thumbnail_is_a_small_jpeg_with_the_images_proportions(mode, format_name):
    with Image.open(io.BytesIO(thumbnail(encoded(mode, (800, 400), format_name)))) as small:
        assert (small.format, small.mode, small.size) == ("JPEG", "RGB", (144, 72))


def test_a_small_image_is_not_enlarged():
    with Image.open(io.BytesIO(thumbnail(encoded("L", (40, 32), "PNG")))) as small:
        assert small.size == (40, 32)


def test_thumbnails_come_by_image_id(store):
    store.put("images/a", encoded("L", (40, 32), "PNG"))
    found = load_thumbnails(store, {"a": "images/a", "b": "images/a"}, ["a", "a"])

    assert list(found) == ["a"]
    assert found["a"].startswith(b"\xff\xd8")


def test_an_image_that_cannot_be_shown_has_no_thumbnail(store):
    store.put("images/broken", b"no image")
    uris = {"none": None, "gone": "images/gone", "broken": "images/broken"}

    assert load_thumbnails(store, uris, [*uris, "unknown"]) == dict.fromkeys([*uris, "unknown"])


@pytest.mark.parametrize("photograph", [False, True])
def test_picture_on_a_page_is_a_smaller_one_that_looks_the_same(photograph):
    pixels = np.random.default_rng(0).integers(90, 110, (60, 80, 3)).astype(np.uint8)
    pixels[20:40] = 200
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")

    compact = compact_picture(stream.getvalue(), photograph)

    with Image.open(io.BytesIO(compact)) as image:
        difference = np.abs(np.asarray(image.convert("RGB")).astype(int) - pixels)
    assert len(compact) < len(stream.getvalue())
    assert difference.max() == 0 if not photograph else 0 < difference.mean() < 8
