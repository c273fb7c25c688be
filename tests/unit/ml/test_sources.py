import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ml.augment import make_view, view_id
from ml.config import AugmentSettings
from ml.errors import DataError
from ml.sources import ImageSource, image_sources, read_blocks


@pytest.fixture
def images(store):
    """Seven grey images, each of its own level."""
    sources = []
    for index in range(7):
        stream = io.BytesIO()
        Image.new("L", (40, 40), 30 * index).save(stream, "PNG")
        store.put(f"images/{index}.png", stream.getvalue())
        sources.append(ImageSource(f"id{index}", f"images/{index}.png"))
    return sources


def test_blocks_hold_the_pixels_of_their_images_in_order(store, images):
    blocks = list(read_blocks(store, images, 32, 3))

    assert [[image.image_id for image in chosen] for chosen, _ in blocks] == [
        ["id0", "id1", "id2"],
        ["id3", "id4", "id5"],
        ["id6"],
    ]
    levels = np.concatenate([pixels.mean(axis=(1, 2, 3)) for _, pixels in blocks])
    np.testing.assert_allclose(levels, np.arange(7) * 30 / 255, atol=1e-6)
    assert {(pixels.shape[1:], pixels.dtype.name) for _, pixels in blocks} == {((32, 32, 3), "float32")}


def test_images_are_read_a_little_ahead_and_no_further(store):
    """The second block is asked for when the first one is used; the rest of a thousand images stays unread."""
    read = []

    class Counting:
        def get(self, key):
            read.append(key)
            return store.get("images/0.png")

    stream = io.BytesIO()
    Image.new("L", (40, 40)).save(stream, "PNG")
    store.put("images/0.png", stream.getvalue())
    images = [ImageSource(f"id{index}", f"images/{index}.png") for index in range(1000)]

    blocks = read_blocks(Counting(), images, 32, 10)
    next(blocks)
    blocks.close()

    assert 10 <= len(read) < 40


def test_bytes_that_cannot_be_decoded_name_their_image(store, images):
    store.put("images/3.png", b"junk")

    with pytest.raises(DataError, match=r"Image images/3.png was accepted but TensorFlow cannot decode it"):
        list(read_blocks(store, images, 32, 3))


def test_sources_keep_the_order_of_the_table():
    table = pd.DataFrame({"image_id": ["b", "a"], "uri": ["images/b", "images/a"], "label": [0, 1]})

    assert image_sources(table) == [ImageSource("b", "images/b"), ImageSource("a", "images/a")]


def test_training_images_are_followed_by_their_views():
    table = pd.DataFrame({"image_id": ["a", "b"], "uri": ["images/a", "images/b"], "split": ["train", "test"]})
    augment = AugmentSettings(views=2)

    assert image_sources(table, augment) == [
        ImageSource("a", "images/a"),
        ImageSource(view_id("a", 1, augment), "images/a", 1),
        ImageSource(view_id("a", 2, augment), "images/a", 2),
        ImageSource("b", "images/b"),
    ]
    assert len(image_sources(table, AugmentSettings())) == 2


def test_views_are_made_as_they_are_read(store):
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)).save(stream, "PNG")
    store.put("images/a.png", stream.getvalue())
    augment = AugmentSettings(views=1)
    names = ["a", view_id("a", 1, augment)]
    sources = [ImageSource(name, "images/a.png", number) for number, name in enumerate(names)]

    ((_, pixels),) = read_blocks(store, sources, 32, 2, augment)

    np.testing.assert_array_equal(pixels[1], make_view(pixels[0], names[1], augment))
