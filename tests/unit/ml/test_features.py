import hashlib
import io
from pathlib import Path

import numpy as np
import pytest

from ml.errors import CorruptShardError, DataError
from ml.features import FeatureReader, features_fingerprint, set_aside, write_shard
from ml.storage import dump_json, read_json

PREFIX = "features/tiny/0123/"


@pytest.fixture
def maps():
    return np.random.default_rng(0).normal(0, 1, (7, 2, 2, 3)).astype(np.float16)


@pytest.fixture
def reader(store, settings):
    return lambda: FeatureReader(store, PREFIX, settings.store.cache_dir)


@pytest.fixture
def shards(store, maps):
    """Seven maps in three shards; their keys in the order of their images."""
    keys = []
    for start in (0, 3, 6):
        part = maps[start : start + 3]
        write_shard(store, PREFIX, [f"id{start + row}" for row in range(len(part))], part)
        keys.append(next(key for key in names(store, ".npy") if key not in keys))
    return keys


def names(store, ending):
    return [info.key for info in store.list(PREFIX) if info.key.endswith(ending)]


def spoil(store, key):
    data = bytearray(store.get(key))
    data[-1] ^= 1
    store.put(key, bytes(data))


def test_maps_come_in_the_order_asked_for(reader, shards, maps):
    np.testing.assert_array_equal(reader().take(["id6", "id0", "id3", "id0"]), maps[[6, 0, 3, 0]])


def test_means_come_in_the_order_asked_for_however_few_maps_are_read_at_a_time(reader, shards, maps, monkeypatch):
    monkeypatch.setattr("ml.features.POOLED", 2)

    means = reader().take_pooled(["id6", "id0", "id3", "id0", "id5"])

    assert means.dtype == np.float32
    np.testing.assert_allclose(means, maps[[6, 0, 3, 0, 5]].astype(np.float32).mean(axis=(1, 2)), atol=1e-6)


def test_few_files_are_open_however_many_shards_there_are(reader, shards, maps, monkeypatch):
    monkeypatch.setattr("ml.features.OPEN_SHARDS", 1)
    before = len(list(Path("/proc/self/fd").iterdir()))

    one = reader()
    for _ in range(3):
        np.testing.assert_array_equal(one.take(["id6", "id0", "id3"]), maps[[6, 0, 3]])

    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 1


def test_shape_is_that_of_one_map(reader, shards):
    assert reader().shape() == (2, 2, 3)


def test_image_that_was_not_extracted_is_named(reader, shards):
    with pytest.raises(DataError, match=r"Image id9 has no feature map under features/tiny/0123/.*Run extract"):
        reader().take(["id0", "id9"])


def test_index_says_what_its_shard_holds(store, shards):
    index = read_json(store, shards[0].replace(".npy", ".json"))

    assert (index["image_ids"], index["shape"]) == (["id0", "id1", "id2"], [3, 2, 2, 3])
    assert index["bytes"] == store.head(shards[0]).size


def test_shard_without_an_index_is_not_there(store, reader, shards):
    store.delete(shards[1].replace(".npy", ".json"))

    assert [f"id{index}" in reader() for index in range(7)] == [True] * 3 + [False] * 3 + [True]


def test_writing_the_same_maps_again_changes_nothing(store, shards, maps):
    write_shard(store, PREFIX, ["id0", "id1", "id2"], maps[:3])

    assert names(store, ".npy") == sorted(shards)


def test_other_images_with_the_same_maps_are_another_shard(store, reader, shards, maps):
    write_shard(store, PREFIX, ["other0", "other1", "other2"], maps[:3])

    np.testing.assert_array_equal(reader().take(["other1", "id1"]), maps[[1, 1]])


def test_a_shard_that_changed_is_not_read(store, reader, shards):
    spoil(store, shards[1])

    with pytest.raises(CorruptShardError, match=rf"{shards[1]} has SHA-256 [0-9a-f]+, its index says .*list_missing"):
        reader().take(["id4"])
    assert reader().take(["id0"]).shape == (1, 2, 2, 3)


def test_a_shard_that_is_gone_is_not_read(store, reader, shards):
    store.delete(shards[1])

    with pytest.raises(CorruptShardError, match=rf"{shards[1]} is gone"):
        reader().take(["id4"])


@pytest.mark.parametrize("harm", [spoil, lambda store, key: store.delete(key)], ids=["changed", "gone"])
def test_corrupt_shards_of_some_images_are_found(store, reader, shards, harm):
    harm(store, shards[1])

    assert reader().corrupt(["id0", "id4", "unknown"]) == [shards[1]]
    assert reader().corrupt(["id0", "id6"]) == []


def test_what_is_set_aside_is_kept_and_not_read(store, reader, shards, maps):
    spoil(store, shards[1])
    broken = store.get(shards[1])

    kept = set_aside(store, shards[1])

    assert store.get(kept) == broken
    assert "id4" not in reader()
    write_shard(store, PREFIX, ["id3", "id4", "id5"], maps[3:6])
    np.testing.assert_array_equal(reader().take(["id4"]), maps[[4]])


def test_a_local_copy_that_went_bad_is_fetched_again(s3_reader, maps):
    read, cache = s3_reader
    np.testing.assert_array_equal(read().take(["id1"]), maps[[1]])
    (copy,) = cache.glob("*.npy")
    copy.write_bytes(copy.read_bytes()[:-1] + b"?")

    np.testing.assert_array_equal(read().take(["id1"]), maps[[1]])


@pytest.fixture
def s3_reader(moto_server, s3_credentials, maps, tmp_path):
    """A cache behind the S3 API, and the folder of its local copies."""
    store = moto_server.store(f"s3://{moto_server.bucket('feature-copies').name}/{tmp_path.name}")
    write_shard(store, PREFIX, [f"id{row}" for row in range(len(maps))], maps)
    return lambda: FeatureReader(store, PREFIX, tmp_path / "copies"), tmp_path / "copies"


def test_a_shard_of_pickled_objects_is_refused(store, reader):
    """Whoever can write into the bucket must not run code on whoever reads it."""
    stream = io.BytesIO()
    np.save(stream, np.array([[[[{}]]]], dtype=object), allow_pickle=True)
    digest = hashlib.sha256(stream.getvalue()).hexdigest()
    store.put(f"{PREFIX}pickled.npy", stream.getvalue())
    index = {"image_ids": ["id0"], "shape": [1, 1, 1, 1], "sha256": digest, "bytes": len(stream.getvalue())}
    store.put(f"{PREFIX}pickled.json", dump_json(index))

    with pytest.raises(ValueError, match="cannot create an OBJECT array"):
        reader().take(["id0"])


@pytest.mark.parametrize("value", [1e6, np.nan, -np.inf])
def test_maps_outside_of_float16_are_refused(store, value):
    maps = np.zeros((2, 2, 2, 3))
    maps[1, 0, 1, 2] = value
    with np.errstate(over="ignore"):
        half = maps.astype(np.float16)

    with pytest.raises(DataError, match=r"features/tiny/0123/, that of image id1 first, leave the range of float16"):
        write_shard(store, PREFIX, ["id0", "id1"], half)
    assert not list(store.list(PREFIX))


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
