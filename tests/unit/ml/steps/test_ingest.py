from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from ml.config import Settings
from ml.context import Context
from ml.errors import DataError
from ml.phantom import draw_phantoms
from ml.snapshots import Snapshot
from ml.steps import ingest, publish_snapshot
from ml.storage import open_store, read_json
from ml.upload import upload_folder

NOW = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory):
    return draw_phantoms(tmp_path_factory.mktemp("phantoms"), 8, seed=3)


@pytest.fixture
def take_in(context):
    """Ingests, and publishes unless told not to."""

    def taken(days=0, publish=True):
        result = ingest.run(context, NOW + timedelta(days=days))
        if publish:
            publish_snapshot.run(context, result["snapshot_id"])
        return result

    return taken


@pytest.fixture
def snapshot(context):
    return lambda result: Snapshot(context.store, result["snapshot_id"])


def sources(snapshot):
    return set(snapshot.manifest["source_key"])


def keys(store, prefix):
    return [info.key for info in store.list(prefix)]


def list_but_plans(store):
    """Every object with its etag, but those that say what an ingest found to do."""
    return [(info.key, info.etag) for info in store.list("") if not info.key.startswith("arrivals/plans/")]


@pytest.fixture(scope="module")
def ingested(phantoms, tmp_path_factory):
    """A context and the result of one ingest of a set that holds every kind of object."""
    settings = Settings.model_validate({"store": {"url": str(tmp_path_factory.mktemp("store"))}})
    context = Context(settings, open_store(settings.store))
    upload_folder(context.store, phantoms.folder)
    return context, ingest.run(context, NOW)


def test_the_counts_are_those_of_the_set(phantoms, ingested):
    _, result = ingested
    total = phantoms.good + len(phantoms.duplicates) + len(phantoms.bad)

    assert result == {
        "snapshot_id": result["snapshot_id"],
        "parent": None,
        "changed": True,
        "seen": total,
        "arrived": total,
        "images": phantoms.good,
        "added": phantoms.good,
        "duplicates": len(phantoms.duplicates),
        "excluded": 0,
        "quarantined": len(phantoms.bad),
        "quarantined_by_reason": dict(Counter(phantoms.bad.values())),
    }


def test_every_object_is_an_image_a_duplicate_or_in_quarantine(phantoms, ingested):
    context, result = ingested
    snapshot = Snapshot(context.store, result["snapshot_id"])
    records = [read_json(context.store, key) for key in keys(context.store, "quarantine/") if key.endswith(".json")]

    assert len(snapshot.manifest) == phantoms.good
    assert {f"landing/{path}" for path in phantoms.bad} == {record["source_key"] for record in records}
    assert {record["source_key"].removeprefix("landing/"): record["reason"] for record in records} == phantoms.bad
    assert sources(snapshot) <= {f"landing/{path}" for path in (*phantoms.images, *phantoms.duplicates)}


def test_labels_and_formats_are_those_of_the_set(phantoms, ingested):
    context, result = ingested
    manifest = Snapshot(context.store, result["snapshot_id"]).manifest
    expected = Counter(path.split("/")[0] for path in phantoms.images)

    assert Counter(manifest["label"]) == expected
    known = {f"landing/{path}": kind for path, kind in phantoms.images.items()}
    found = manifest[manifest["source_key"].isin(known)]
    assert found["format"].tolist() == [known[key] for key in found["source_key"]]
    assert len(found) >= len(manifest) - len(phantoms.duplicates)


def test_training_finds_every_image_that_the_manifest_names(ingested):
    context, result = ingested
    manifest = Snapshot(context.store, result["snapshot_id"]).manifest

    assert set(manifest["uri"]) <= set(keys(context.store, "images/"))


def test_nothing_is_published_yet(ingested):
    context, _ = ingested

    assert context.store.head("snapshots/latest.json") is None


def test_the_landing_zone_is_left_as_it_was(phantoms, ingested):
    context, _ = ingested
    paths = (*phantoms.images, *phantoms.duplicates, *phantoms.bad)

    assert keys(context.store, "landing/") == sorted(f"landing/{path}" for path in paths)


def test_an_ingest_that_was_killed_gives_the_same_snapshot_when_it_is_repeated(ingested):
    context, result = ingested
    before = list_but_plans(context.store)

    assert ingest.run(context, NOW + timedelta(hours=1)) == result
    assert list_but_plans(context.store) == before


def test_nothing_new_leaves_the_snapshot(context, put_image, take_in):
    put_image("a", "1.png", seed=1)
    store = context.store
    store.put("landing/a/notes.txt", b"no image")
    first = take_in()
    before = list_but_plans(store)
    second = take_in(days=1, publish=False)

    assert second == first | {"changed": False, "arrived": 0, "added": 0}
    assert list_but_plans(store) == before


def test_new_objects_alone_are_read(context, put_image, take_in, snapshot):
    put_image("a", "1.png", seed=1)
    put_image("a", "2.png", seed=2)
    take_in()
    context.store.delete("landing/a/1.png")
    for key in keys(context.store, "images/"):
        context.store.delete(key)
    put_image("a", "3.png", seed=3)
    second = take_in(days=1)

    assert (second["images"], second["added"], second["arrived"]) == (3, 1, 1)
    assert sources(snapshot(second)) == {"landing/a/1.png", "landing/a/2.png", "landing/a/3.png"}
    assert len(keys(context.store, "images/")) == 1


def test_rows_keep_when_and_in_which_snapshot_they_arrived(put_image, take_in, snapshot):
    put_image("a", "1.png", seed=1)
    first = take_in()
    put_image("a", "2.png", seed=2)
    second = take_in(days=1)
    manifest = snapshot(second).manifest.set_index("source_key")

    assert second["parent"] == first["snapshot_id"]
    assert manifest["ingested_at"].to_dict() == {"landing/a/1.png": NOW, "landing/a/2.png": NOW + timedelta(days=1)}
    assert manifest["snapshot"].to_dict() == {
        "landing/a/1.png": first["snapshot_id"],
        "landing/a/2.png": second["snapshot_id"],
    }


def test_splits_stay_when_more_images_come(put_image, take_in, snapshot):
    for seed in range(12):
        put_image("ab"[seed % 2], f"{seed}.png", seed=seed)
    first = snapshot(take_in()).manifest.set_index("image_id")["split"]
    for seed in range(12, 30):
        put_image("ab"[seed % 2], f"{seed}.png", seed=seed)
    second = snapshot(take_in(days=1)).manifest.set_index("image_id")["split"]

    assert len(second) == 30
    assert second[first.index].to_dict() == first.to_dict()


def test_an_unpublished_snapshot_is_no_parent(put_image, take_in):
    put_image("a", "1.png", seed=1)
    take_in(publish=False)
    put_image("a", "2.png", seed=2)
    second = take_in(days=1, publish=False)

    assert (second["parent"], second["images"], second["added"]) == (None, 2, 2)


def test_equal_pixels_under_two_labels_are_both_quarantined(context, put_image, take_in, snapshot):
    put_image("a", "same.png", seed=1)
    put_image("b", "same.png", seed=1)
    put_image("b", "other.png", seed=2)
    result = take_in()

    assert result["quarantined_by_reason"] == {"label_conflict": 2}
    assert sources(snapshot(result)) == {"landing/b/other.png"}
    records = [key for key in keys(context.store, "quarantine/label_conflict/") if key.endswith(".json")]
    assert {read_json(context.store, key)["source_key"] for key in records} == {
        "landing/a/same.png",
        "landing/b/same.png",
    }


def test_an_image_that_comes_under_another_label_later_is_taken_out(put_image, take_in, snapshot):
    put_image("a", "same.png", seed=1)
    put_image("a", "kept.png", seed=2)
    first = take_in()
    put_image("b", "same.png", seed=1)
    second = take_in(days=1)

    assert "landing/a/same.png" in sources(snapshot(first))
    assert sources(snapshot(second)) == {"landing/a/kept.png"}
    assert (second["quarantined_by_reason"], second["added"]) == ({"label_conflict": 2}, 0)


def test_a_disputed_image_stays_out_when_it_comes_a_third_time(put_image, take_in, snapshot):
    put_image("a", "same.png", seed=1)
    put_image("b", "same.png", seed=1)
    put_image("b", "kept.png", seed=2)
    take_in()
    put_image("a", "again.png", seed=1)
    result = take_in(days=1)

    assert sources(snapshot(result)) == {"landing/b/kept.png"}
    assert result["quarantined_by_reason"] == {"label_conflict": 3}


def test_an_object_replaced_under_its_key_is_another_image(put_image, take_in, snapshot):
    put_image("a", "1.png", seed=1)
    first = take_in()
    data = put_image("a", "1.png", seed=2)
    second = take_in(days=1)

    assert (second["changed"], second["seen"], second["images"], second["added"]) == (True, 2, 2, 1)
    assert set(snapshot(first).manifest["image_id"]) < set(snapshot(second).manifest["image_id"])
    assert len(data) in snapshot(second).manifest["bytes"].tolist()


def test_an_object_written_again_with_the_same_bytes_is_a_duplicate(context, put_image, take_in):
    data = put_image("a", "1.png", seed=1)
    take_in()
    context.store.put("landing/a/copy.png", data)
    second = take_in(days=1)

    assert (second["images"], second["duplicates"], second["added"]) == (1, 1, 0)


def test_damage_does_not_stop_the_others(context, put_image, take_in):
    data = put_image("a", "1.png", seed=1)
    context.store.put("landing/a/half.png", data[: len(data) // 2])
    result = take_in()

    assert (result["images"], result["quarantined_by_reason"]) == (1, {"truncated": 1})


def test_bad_objects_alone_make_a_new_snapshot_too(context, put_image, take_in):
    put_image("a", "1.png", seed=1)
    take_in()
    context.store.put("landing/a/notes.txt", b"no image")
    second = take_in(days=1)

    assert (second["changed"], second["images"], second["added"]) == (True, 1, 0)
    assert take_in(days=2)["changed"] is False


def test_an_empty_landing_zone_is_an_error(context, store):
    with pytest.raises(DataError, match=f"{store.uri('landing/')} is empty.* Remedy: Upload images as landing/<label>"):
        ingest.run(context, NOW)


def test_junk_alone_is_an_error_with_the_reasons(context, store):
    store.put("landing/a/notes.txt", b"no image")
    store.put("landing/a/empty.png", b"")

    with pytest.raises(DataError, match=r"None of 2 objects.*'empty': 1, 'not_an_image': 1.* Remedy: See the records"):
        ingest.run(context, NOW)
    assert keys(store, "snapshots/") == []
    assert len(keys(store, "quarantine/")) == 4


def test_many_objects_are_taken_in_chunk_by_chunk(store, make_settings, put_image):
    context = Context(make_settings({"landing": {"chunk_size": 4}}), store)
    for seed in range(11):
        put_image("a", f"{seed:02d}.png", seed=seed, size=(32, 32))

    assert ingest.run(context, NOW)["images"] == 11
    assert len([key for key in keys(store, "arrivals/") if key.endswith("rows.parquet")]) == 3
