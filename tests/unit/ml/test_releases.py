"""Releases from quarantine, from the decision to the image in a snapshot."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ml.context import Context
from ml.errors import ConfigError, DataError
from ml.labels import Labeller
from ml.quarantine import find_refused, refused_objects, show_refused
from ml.releases import pending_releases, release_objects
from ml.snapshots import Snapshot
from ml.steps import ingest, publish_snapshot

NOW = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture
def take_in(store, make_settings):
    """Ingests by settings, publishes, and returns the snapshot."""

    def taken(days=0, **overrides):
        result = ingest.run(Context(make_settings(overrides), store), NOW + timedelta(days=days))
        publish_snapshot.run(Context(make_settings(overrides), store), result["snapshot_id"])
        return Snapshot(store, result["snapshot_id"])

    return taken


@pytest.fixture
def release(store, make_settings):
    """Releases what a name means."""

    def released(name, label=None, days=0, **overrides):
        rows = find_refused(refused_objects(store), name)
        labeller = Labeller(make_settings(overrides))
        return release_objects(store, rows, labeller, label, "checked", "ann", NOW + timedelta(days=days))

    return released


def test_an_object_is_taken_in_after_the_settings_were_mended(store, put_image, take_in, release):
    put_image("a", "small.png", size=(16, 16))
    put_image("a", "other.png", seed=1)
    take_in()
    assert release("a/small.png").startswith("20260102T")
    snapshot = take_in(days=1, images={"min_side": 8})

    assert set(snapshot.manifest["source_key"]) == {"landing/a/small.png", "landing/a/other.png"}
    assert snapshot.record["quarantined"] == 0


def test_it_needs_nothing_of_the_landing_zone(store, put_image, take_in, release):
    put_image("a", "small.png", size=(16, 16))
    put_image("a", "other.png", seed=1)
    take_in()
    store.delete("landing/a/small.png")
    release("a/small.png")

    assert len(take_in(days=1, images={"min_side": 8}).manifest) == 2


def test_what_still_breaks_a_rule_stays_and_is_not_tried_again(store, put_image, take_in, release):
    put_image("a", "small.png", size=(16, 16))
    put_image("a", "other.png", seed=1)
    take_in()
    release_id = release("a/small.png")
    snapshot = take_in(days=1)

    assert snapshot.record["quarantined_by_reason"] == {"too_small": 1}
    assert snapshot.record["releases"] == [release_id]
    assert take_in(days=2).snapshot_id == snapshot.snapshot_id


def test_a_label_settles_a_conflict(put_image, take_in, release):
    put_image("a", "same.png")
    put_image("b", "same.png")
    put_image("b", "other.png", seed=1)
    take_in()
    release("a/same.png", label="a")
    snapshot = take_in(days=1)

    assert snapshot.manifest.set_index("source_key")["label"].to_dict() == {
        "landing/a/same.png": "a",
        "landing/b/other.png": "b",
    }
    assert snapshot.record["quarantined_by_reason"] == {"label_conflict": 1}


def test_an_image_has_its_old_split_after_a_conflict_and_its_release(put_image, take_in, release):
    for seed in range(20):
        put_image("a", f"{seed}.png", seed=seed)
    before = take_in().manifest.set_index("image_id")["split"]
    put_image("b", "same.png", seed=3)
    take_in(days=1)
    release("a/3.png", label="a")
    after = take_in(days=2).manifest.set_index("image_id")["split"]

    assert after.to_dict() == before.to_dict()


def test_an_object_without_a_label_gets_one(store, put_image, take_in, release):
    store.put("landing/1.png", put_image("a", "other.png", seed=1))
    store.put("landing/2.png", put_image("c", "unknown.png", seed=2))
    take_in(classes=["a", "b"])
    release("1.png", label="a", classes=["a", "b"])
    release("landing/c/unknown.png", label="b", classes=["a", "b"])
    snapshot = take_in(days=1, classes=["a", "b"])

    assert snapshot.ledger.set_index("source_key")["reason"].isna().to_dict() == {
        "landing/1.png": True,
        "landing/2.png": False,
        "landing/a/other.png": True,
        "landing/c/unknown.png": True,
    }


def test_what_is_refused_for_its_label_is_not_released_without_one(put_image, take_in, release):
    put_image("a", "same.png")
    put_image("b", "same.png")
    put_image("b", "other.png", seed=1)
    take_in()

    with pytest.raises(DataError, match=r"landing/a/same\.png is in quarantine for its label.* --label"):
        release("a/same.png")


def test_a_label_must_be_declared(put_image, take_in, release):
    put_image("a", "small.png", size=(16, 16))
    put_image("a", "other.png", seed=1)
    take_in()

    with pytest.raises(ConfigError, match=r"'z' is none of a, b.* Declare it"):
        release("a/small.png", label="z", classes=["a", "b"])


def test_releases_that_no_snapshot_carried_out_are_pending_the_oldest_first(store, put_image, take_in, release):
    put_image("a", "small.png", size=(16, 16))
    put_image("a", "other.png", seed=1)
    take_in()
    later, first = release("a/small.png", days=2), release("a/small.png", days=1)
    pending = pending_releases(store, [])

    assert [one["release_id"] for one in pending] == [first, later]
    assert (pending[0]["by"], pending[0]["note"], pending[0]["label"]) == ("ann", "checked", None)
    assert [one["release_id"] for one in pending_releases(store, [first])] == [later]


@pytest.fixture
def refused(store, put_image, take_in):
    put_image("a", "good.png", seed=1)
    store.put("landing/a/notes.txt", b"no image")
    store.put("landing/b/copy.txt", b"no image")
    store.put("landing/a/empty.png", b"")
    take_in()
    return refused_objects(store)


def test_quarantine_is_listed_by_reason(store, refused):
    assert refused["source_key"].tolist() == ["landing/a/empty.png", "landing/a/notes.txt", "landing/b/copy.txt"]
    assert refused_objects(store, "empty")["source_key"].tolist() == ["landing/a/empty.png"]


def test_a_reason_that_no_object_has_is_refused_with_those_there_are(store, refused):
    with pytest.raises(DataError, match=r"for 'truncated'.* Reasons there are: empty, not_an_image"):
        refused_objects(store, "truncated")


def test_before_the_first_snapshot_there_is_no_quarantine_to_look_into(store):
    with pytest.raises(DataError, match="no published snapshot"):
        refused_objects(store)


def test_objects_are_found_by_key_and_by_digest(refused):
    digest = refused.set_index("source_key").loc["landing/a/notes.txt", "image_id"]

    assert find_refused(refused, "a/notes.txt")["source_key"].tolist() == ["landing/a/notes.txt"]
    assert find_refused(refused, "landing/a/notes.txt")["source_key"].tolist() == ["landing/a/notes.txt"]
    assert find_refused(refused, digest[:8])["source_key"].tolist() == ["landing/a/notes.txt", "landing/b/copy.txt"]


@pytest.mark.parametrize("name", ["a/none.png", "e3b0", "ffffffff"], ids=["key", "too few digits", "digest"])
def test_a_name_that_means_nothing_is_refused(refused, name):
    with pytest.raises(DataError, match=f"Nothing in quarantine is called '{name}'"):
        find_refused(refused, name)


def test_digits_that_begin_two_objects_are_refused(refused):
    similar = refused.assign(image_id=["abcdef0", "abcdef1", "abcdef1"])

    with pytest.raises(DataError, match="'abcdef' begins 2 objects: abcdef0, abcdef1"):
        find_refused(similar, "abcdef")


def test_an_object_is_shown_with_what_its_record_says(store, refused):
    (row,) = find_refused(refused, "a/notes.txt").to_dict("records")
    shown = show_refused(store, row)

    assert (shown.reason, shown.detail, shown.bytes) == ("not_an_image", "none of JPEG, PNG, TIFF, BMP, WEBP, DICOM", 8)
    assert shown.quarantined_at == NOW.isoformat()
    assert store.get(shown.uri.removeprefix(f"{store.url}/")) == b"no image"
