import logging

import pytest

from ml.feature_plan import load_maps, load_part
from ml.features import FeatureReader
from ml.plan import load_samples
from ml.steps import ingest, list_missing, publish_snapshot, split

from .conftest import NOW, draw, extract_features

pytestmark = pytest.mark.slow


def extract_all(context, run_id, variants=None):
    split.run(context, run_id, variants=variants)
    return [part["extracted"] for part in extract_features(context, run_id)]


def test_second_run_on_the_same_images_has_nothing_to_extract_and_says_so(first_run, second_run, caplog):
    with caplog.at_level(logging.INFO, "ml.steps.list_missing"):
        again = list_missing.run(first_run.context, "second")

    assert (second_run.extracted, again) == ([], [])
    assert "narrow: 0 images to extract, 34 already cached, float32" in caplog.text


def test_only_what_arrived_is_extracted(published_context):
    first = extract_all(published_context, "one")
    for index in (90, 91, 92):
        published_context.store.put(f"landing/spots/{index}.png", draw("spots", index))
    publish_snapshot.run(published_context, ingest.run(published_context, NOW)["snapshot_id"])

    assert first == [{"narrow": 34, "wide": 34}]
    assert extract_all(published_context, "two") == [{"narrow": 3, "wide": 3}]


def test_images_are_grouped_by_the_variants_that_lack_them(published_context):
    extract_all(published_context, "one", ["narrow"])

    split.run(published_context, "two")
    parts = [load_part(published_context.store, "two", part) for part in list_missing.run(published_context, "two")]

    assert [(variants, len(images)) for variants, images in parts] == [(["wide"], 34)]


def test_large_backlogs_are_cut_into_parts(published_context):
    features = published_context.settings.features.model_copy(update={"part_size": 10})
    settings = published_context.settings.model_copy(update={"features": features})
    context = type(published_context)(settings, published_context.store)

    assert [result["narrow"] for result in extract_all(context, "one")] == [10, 10, 10, 4]


def test_a_corrupt_shard_is_moved_aside_and_its_images_are_extracted_again(published_context, caplog):
    store, cache = published_context.store, published_context.settings.store.cache_dir
    extract_all(published_context, "one", ["narrow"])
    maps = load_maps(store, "one")["narrow"]
    ids = load_samples(store, "one")["image_id"].tolist()
    before = FeatureReader(store, maps.prefix, cache).take(ids)
    (shard,) = (info.key for info in store.list(maps.prefix) if info.key.endswith(".npy"))
    broken = bytearray(store.get(shard))
    broken[-1] ^= 1
    store.put(shard, bytes(broken))

    with caplog.at_level(logging.WARNING):
        again = extract_all(published_context, "two", ["narrow"])

    kept = f"{maps.prefix}corrupt/{shard.rpartition('/')[2]}"
    assert again == [{"narrow": 34}]
    assert store.get(kept) == bytes(broken)
    assert f"{shard} was moved to {kept}" in caplog.text
    assert (FeatureReader(store, maps.prefix, cache).take(ids) == before).all()
