"""What extraction writes, by whatever way batches, blocks and shards are cut."""

import threading

import numpy as np
import pytest
import tensorflow as tf

from ml import extraction
from ml.context import Context
from ml.errors import DataError
from ml.extraction import describe_maps, extract_maps
from ml.features import FeatureReader
from ml.inference import build_frozen
from ml.sources import ImageSource, read_image

pytestmark = pytest.mark.slow

IMAGES = 23


@pytest.fixture
def context(make_settings, store, monkeypatch):
    monkeypatch.setattr(extraction, "BLOCK", 7)
    settings = make_settings(
        {
            "variants": {
                "narrow": {"backbone": "mobilenet", "alpha": 0.25},
                "wide": {"backbone": "mobilenet", "alpha": 0.5},
            },
            "features": {"precision": "float32", "batch_size": 3, "shard_size": 10},
        }
    )
    return Context(settings, store)


@pytest.fixture
def images(context, put_image):
    for number in range(IMAGES):
        put_image("a", f"{number}.png", seed=number)
    return [ImageSource(f"id{number}", f"landing/a/{number}.png") for number in range(IMAGES)]


@pytest.fixture
def variants(context, images):
    return [describe_maps(context, context.settings, name, images) for name in ("narrow", "wide")]


def reader(context, maps):
    return FeatureReader(context.store, maps.prefix, context.settings.store.cache_dir)


def test_every_image_has_the_map_of_its_own_pixels(context, images, variants):
    extracted = extract_maps(context, context.settings, variants, images)

    assert {name: one.images for name, one in extracted.items()} == {"narrow": IMAGES, "wide": IMAGES}
    for maps in variants:
        backbone, cached = build_frozen(context.settings, maps.variant, "float32"), reader(context, maps)
        for image in images:
            pixels = read_image(context.store, image.uri, context.settings.images.size)
            expected = np.asarray(backbone(tf.constant(pixels[None])))
            np.testing.assert_allclose(
                cached.take([image.image_id]), expected, rtol=2e-3, atol=1.2e-7
            )  # a step of float16
        together = cached.take([image.image_id for image in images]).reshape(IMAGES, -1)
        assert len(np.unique(together, axis=0)) == IMAGES  # else the comparison would say little
        shards = [info for info in context.store.list(maps.prefix) if info.key.endswith(".npy")]
        assert len(shards) == 3


def test_an_image_that_cannot_be_decoded_ends_extraction_and_leaves_no_thread(context, images, variants):
    context.store.put("landing/a/15.png", b"junk")

    with pytest.raises(DataError, match=r"landing/a/15.png was accepted but TensorFlow cannot decode it"):
        extract_maps(context, context.settings, variants, images)
    left = {thread.name.rsplit("_", 1)[0] for thread in threading.enumerate()}
    assert not left & {"shard", "backbone"}
    # What was whole before is kept.
    assert "id0" in reader(context, variants[0])


def test_a_shard_that_cannot_be_written_ends_extraction(context, images, variants, monkeypatch):
    def refuse(*_):
        raise OSError("no space left")

    monkeypatch.setattr(extraction, "write_shard", refuse)

    with pytest.raises(OSError, match="no space left"):
        extract_maps(context, context.settings, variants, images)
