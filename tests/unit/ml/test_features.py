import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ml.errors import DataError
from ml.features import FeatureReader, ImageSource, extract_missing, features_fingerprint, image_sources
from ml.storage import read_json

PREFIX = "features/tiny/0123/"


def tiny_backbone(batch):
    """Means over quarters of the image: a feature map of 2 x 2 x 3."""
    side = batch.shape[1] // 2
    return batch.reshape(len(batch), 2, side, 2, side, 3).mean(axis=(2, 4))


@pytest.fixture
def images(store):
    """Seven grey images, each of its own level, so that a feature map tells which image it is of."""
    sources = []
    for index in range(7):
        stream = io.BytesIO()
        Image.new("L", (40, 40), 30 * index).save(stream, "PNG")
        store.put(f"images/{index}.png", stream.getvalue())
        sources.append(ImageSource(f"id{index}", f"images/{index}.png"))
    return sources


@pytest.fixture
def small_shards(make_settings):
    return make_settings({"features": {"batch_size": 2, "shard_size": 3}})


@pytest.fixture
def reader(store, small_shards):
    return lambda: FeatureReader(store, PREFIX, small_shards.store.cache_dir)


def test_every_image_gets_the_map_of_its_own_pixels(store, images, small_shards, reader):
    assert extract_missing(store, PREFIX, images, tiny_backbone, small_shards) == 7

    maps = reader().take([f"id{index}" for index in (6, 0, 3)])
    assert (maps.shape, maps.dtype) == ((3, 2, 2, 3), np.float16)
    np.testing.assert_allclose(maps.mean(axis=(1, 2, 3)), np.array([180, 0, 90]) / 255, atol=1e-3)


def test_what_is_cached_is_not_extracted_again(store, images, small_shards):
    extract_missing(store, PREFIX, images[:4], tiny_backbone, small_shards)
    seen = []

    def counting(batch):
        seen.append(len(batch))
        return tiny_backbone(batch)

    assert extract_missing(store, PREFIX, images, counting, small_shards) == 3
    assert sum(seen) == 3
    assert extract_missing(store, PREFIX, images, counting, small_shards) == 0
    assert sum(seen) == 3


def test_shards_are_never_rewritten(store, images, small_shards):
    extract_missing(store, PREFIX, images[:4], tiny_backbone, small_shards)
    before = {info.key: info.etag for info in store.list(PREFIX)}

    extract_missing(store, PREFIX, images, tiny_backbone, small_shards)

    after = {info.key: info.etag for info in store.list(PREFIX)}
    assert before.items() < after.items()


def test_shard_without_its_index_is_done_again(store, images, small_shards, reader):
    """Killed between the two, a run leaves a shard that nobody can find."""
    extract_missing(store, PREFIX, images, tiny_backbone, small_shards)
    index = next(info.key for info in store.list(PREFIX) if info.key.endswith(".json"))
    lost = read_json(store, index)["image_ids"]
    store.delete(index)

    assert extract_missing(store, PREFIX, images, tiny_backbone, small_shards) == len(lost)
    assert all(f"id{number}" in reader() for number in range(7))


def test_failure_in_the_middle_keeps_the_whole_shards(store, images, small_shards, reader):
    def fails_on_the_fifth(batch):
        if batch.mean() * 255 > 110:
            raise MemoryError("out of memory")
        return tiny_backbone(batch)

    with pytest.raises(MemoryError):
        extract_missing(store, PREFIX, images, fails_on_the_fifth, small_shards)

    assert [f"id{number}" in reader() for number in range(7)] == [True] * 3 + [False] * 4


def test_image_that_cannot_be_decoded_is_named(store, images, small_shards):
    store.put("images/3.png", b"damaged")

    with pytest.raises(DataError, match=r"images/3\.png was accepted but TensorFlow cannot decode it"):
        extract_missing(store, PREFIX, images, tiny_backbone, small_shards)


@pytest.mark.parametrize("value", [1e6, np.nan, -np.inf])
def test_maps_outside_of_float16_are_refused(store, images, small_shards, value):
    with pytest.raises(DataError, match=r"features/tiny/0123/ leave the range of float16"):
        extract_missing(store, PREFIX, images, lambda batch: tiny_backbone(batch) + value, small_shards)


def test_image_that_was_not_extracted_is_named(store, images, small_shards, reader):
    extract_missing(store, PREFIX, images[:2], tiny_backbone, small_shards)

    with pytest.raises(DataError, match=r"Image id5 has no feature map under features/tiny/0123/.*Run extract"):
        reader().take(["id0", "id5"])


def test_shape_is_that_of_one_map(store, images, small_shards, reader):
    extract_missing(store, PREFIX, images, tiny_backbone, small_shards)

    assert reader().shape() == (2, 2, 3)


def test_sources_keep_the_order_of_the_table():
    table = pd.DataFrame({"image_id": ["b", "a"], "uri": ["images/b", "images/a"], "label": [0, 1]})

    assert image_sources(table) == [ImageSource("b", "images/b"), ImageSource("a", "images/a")]


DECISIVE = {
    "size": ({"images": {"size": 64}}, "one", "weights", "float32"),
    "option": ({"variants": {"one": {"backbone": "mobilenet", "alpha": 0.5}}}, "one", "weights", "float32"),
    "architecture": ({"variants": {"one": {"backbone": "vgg16"}}}, "one", "weights", "float32"),
    "weights": ({}, "one", "others", "float32"),
    "precision": ({}, "one", "weights", "bfloat16"),
}
ONE = {"variants": {"one": {"backbone": "mobilenet"}, "two": {"backbone": "mobilenet"}}}


@pytest.mark.parametrize("difference", DECISIVE)
def test_whatever_changes_a_map_changes_its_fingerprint(make_settings, difference):
    overrides, variant, weights, precision = DECISIVE[difference]
    before = features_fingerprint(make_settings(ONE), "one", "weights", "float32")

    assert features_fingerprint(make_settings(ONE | overrides), variant, weights, precision) != before


@pytest.mark.parametrize(
    "overrides",
    [
        {"train": {"epochs": 3, "seed": 8}},
        {"features": {"batch_size": 1, "shard_size": 9}},
        {"gate": {"min_macro_f1": 1}},
    ],
    ids=["training", "batches", "gate"],
)
def test_nothing_else_does(make_settings, overrides):
    before = features_fingerprint(make_settings(ONE), "one", "weights", "float32")

    assert features_fingerprint(make_settings(ONE | overrides), "two", "weights", "float32") == before
