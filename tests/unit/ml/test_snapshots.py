from __future__ import annotations

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from ml.config import Settings
from ml.errors import DataError, NotFoundError
from ml.manifest import LEDGER, MANIFEST
from ml.snapshots import (
    Snapshot,
    build_manifest,
    latest_snapshot_id,
    place_images,
    publish_snapshot,
    write_snapshot,
)
from ml.storage import read_json

NOW = datetime(2026, 1, 2, tzinfo=UTC)
ANOTHER_SEED = Settings.model_validate({"split": {"seed": 99}})


def ledger_of(*rows):
    """A ledger of (source key, pixels, label, reason, hours after NOW) rows."""
    columns = {name: [] for name in LEDGER.columns.names}
    for key, pixels, label, reason, hours in rows:
        values = dict.fromkeys(columns) | {
            "source_key": f"landing/{label}/{key}",
            "etag": f"etag-{key}",
            "label": label,
            "reason": reason,
            "image_id": f"{key}-digest",
            "pixel_id": pixels.ljust(64, "0") if pixels else None,
            "uri": f"images/{key}",
            "format": "PNG",
            "perceptual_hash": hashlib.sha256(pixels.encode()).hexdigest()[:16] if pixels else None,
            "last_modified": NOW,
            "ingested_at": NOW + timedelta(hours=hours),
            "snapshot": "",
        }
        values |= dict.fromkeys(("bytes", "width", "height", "channels"), 40)
        values |= dict.fromkeys(("brightness", "contrast", "sharpness"), 1.5)
        for name, value in values.items():
            columns[name].append(value)
    return pd.DataFrame(columns)


def images(count, label="a", hours=0):
    return [(f"{label}{hours}-{i}", f"{label}{hours}f{i:02x}", label, None, hours) for i in range(count)]


def placed(*rows, settings=None):
    return place_images(ledger_of(*rows), settings or Settings())


def grow(store, rows, parent=None):
    """Write a snapshot of these rows on a parent."""
    ledger = placed(*rows)
    manifest = build_manifest(ledger)
    return Snapshot(store, write_snapshot(store, parent, manifest, ledger, {"images": len(manifest)}))


def test_a_manifest_has_one_row_for_equal_pixels_the_first_that_came():
    ledger = placed(("late", "p", "a", None, 2), ("early", "p", "a", None, 1), ("other", "q", "a", None, 3))
    manifest = build_manifest(ledger)

    assert dict(zip(manifest["image_id"], manifest["source_key"], strict=True)) == {
        "early-digest": "landing/a/early",
        "other-digest": "landing/a/other",
    }


def test_refused_objects_are_not_in_the_manifest_and_have_no_split():
    ledger = placed(
        ("good", "p", "a", None, 0), ("bad", None, "a", "empty", 0), ("torn", "q", "b", "label_conflict", 0)
    )

    assert list(build_manifest(ledger)["image_id"]) == ["good-digest"]
    assert list(ledger["split"].notna()) == [True, False, False]


def test_a_manifest_has_the_columns_of_its_schema_and_a_split_for_every_image():
    manifest = build_manifest(placed(*images(30)))

    assert list(manifest) == MANIFEST.columns.names
    assert set(manifest["split"]) == {"train", "validation", "test"}


def test_images_keep_their_splits():
    first = placed(*images(30))
    second = place_images(pd.concat([first, ledger_of(*images(30, hours=1))]), ANOTHER_SEED)

    assert second["split"].notna().all()
    assert second["split"][:30].tolist() == first["split"].tolist()


def test_copies_of_an_image_share_its_group_and_split():
    first = placed(*images(30))
    copies = ledger_of(*((f"copy-{key}", *rest) for key, *rest in images(30)))
    second = place_images(pd.concat([first, copies], ignore_index=True), ANOTHER_SEED)

    assert second["split"][30:].tolist() == first["split"].tolist()
    assert second["group"][30:].tolist() == first["group"].tolist()


def test_an_image_keeps_its_split_through_quarantine():
    first = placed(*images(30))
    disputed = place_images(first.assign(reason="label_conflict"), ANOTHER_SEED)
    released = place_images(disputed.assign(reason=None), ANOTHER_SEED)

    assert build_manifest(disputed).empty
    assert disputed["split"].tolist() == released["split"].tolist() == first["split"].tolist()


def test_like_images_and_those_of_one_patient_share_a_group_and_a_split():
    first = placed(*images(30))
    arrived = ledger_of(("resaved", "e1", "a", None, 1), ("next", "e2", "a", None, 1), ("other", "e3", "a", None, 1))
    arrived["perceptual_hash"] = [first["perceptual_hash"][3], *arrived["perceptual_hash"][1:]]
    arrived["explicit_group"] = ["patient", "patient", None]
    ledger = place_images(pd.concat([first, arrived], ignore_index=True), ANOTHER_SEED)

    assert ledger["group"][[3, 30, 31]].tolist() == ["patient"] * 3
    assert ledger["split"][[30, 31]].tolist() == [first["split"][3]] * 2
    assert ledger["group"].nunique() == 31


def test_an_image_like_images_of_two_splits_is_in_the_manifest_as_excluded_for_ever():
    first = placed(*images(30))
    train, test = (first.index[first["split"] == split][0] for split in ("train", "test"))
    first["perceptual_hash"] = first["perceptual_hash"].mask(first.index == test, first["perceptual_hash"][train])
    arrived = ledger_of(("between", "e1", "a", None, 1)).assign(perceptual_hash=first["perceptual_hash"][train])
    ledger = place_images(pd.concat([first, arrived], ignore_index=True), Settings())
    again = build_manifest(place_images(ledger, ANOTHER_SEED)).set_index("image_id")

    assert again.loc["between-digest", ["split", "excluded"]].tolist() == [
        "excluded",
        "linked to images in train and test",
    ]
    assert again["excluded"].notna().sum() == 1


def test_a_snapshot_comes_back_as_it_was_written(store):
    snapshot = grow(store, images(5))

    assert len(snapshot.manifest) == len(snapshot.ledger) == 5
    assert snapshot.record == {"snapshot_id": snapshot.snapshot_id, "parent": None, "images": 5}
    assert set(snapshot.manifest["snapshot"]) == set(snapshot.ledger["snapshot"]) == {snapshot.snapshot_id}


def test_a_snapshot_counts_on_from_its_parent_and_rows_keep_where_they_arrived(store):
    first = grow(store, images(3))
    arrived = ledger_of(*images(2, hours=1))
    ledger = place_images(pd.concat([first.ledger, arrived], ignore_index=True), Settings())
    manifest = build_manifest(ledger)
    second = Snapshot(store, write_snapshot(store, first, manifest, ledger, {}))

    assert (first.snapshot_id[:7], second.snapshot_id[:7]) == ("000001-", "000002-")
    assert second.record["parent"] == first.snapshot_id
    assert second.manifest["snapshot"].value_counts().to_dict() == {first.snapshot_id: 3, second.snapshot_id: 2}


def test_the_same_arrivals_give_the_same_id_and_others_another(store):
    assert grow(store, images(3)).snapshot_id == grow(store, images(3)[::-1]).snapshot_id
    assert grow(store, images(3)).snapshot_id != grow(store, images(4)).snapshot_id


def test_a_snapshot_that_is_not_there_is_named(store):
    with pytest.raises(NotFoundError, match="snapshots/000009-abc/"):
        Snapshot(store, "000009-abc")


def test_before_the_first_publication_there_is_no_newest_snapshot(store):
    grow(store, images(3))

    assert latest_snapshot_id(store) is None


def test_publishing_moves_the_pointer_along_the_line(store):
    first = grow(store, images(3))
    second = grow(store, images(4), first)
    publish_snapshot(store, first.snapshot_id)
    assert latest_snapshot_id(store) == first.snapshot_id
    publish_snapshot(store, second.snapshot_id)

    assert latest_snapshot_id(store) == second.snapshot_id
    assert read_json(store, "snapshots/latest.json") == {"snapshot_id": second.snapshot_id}


def test_publishing_twice_changes_nothing(store):
    snapshot = grow(store, images(3))
    publish_snapshot(store, snapshot.snapshot_id)
    etag = store.head("snapshots/latest.json").etag
    publish_snapshot(store, snapshot.snapshot_id)

    assert store.head("snapshots/latest.json").etag == etag


def test_a_snapshot_that_was_overtaken_is_not_published(store):
    first = grow(store, images(3))
    publish_snapshot(store, first.snapshot_id)
    slow, fast = grow(store, images(4), first), grow(store, images(5), first)
    publish_snapshot(store, fast.snapshot_id)

    with pytest.raises(DataError, match=f"{slow.snapshot_id} grew from {first.snapshot_id}.* Remedy: Run ingest again"):
        publish_snapshot(store, slow.snapshot_id)
    assert latest_snapshot_id(store) == fast.snapshot_id


def test_a_second_first_snapshot_is_not_published(store):
    publish_snapshot(store, grow(store, images(3)).snapshot_id)
    other = grow(store, images(4))

    with pytest.raises(DataError, match=f"{other.snapshot_id} grew from nothing"):
        publish_snapshot(store, other.snapshot_id)


def test_an_older_snapshot_is_not_published_again(store):
    first = grow(store, images(3))
    second = grow(store, images(4), first)
    publish_snapshot(store, first.snapshot_id)
    publish_snapshot(store, second.snapshot_id)

    with pytest.raises(DataError, match=first.snapshot_id):
        publish_snapshot(store, first.snapshot_id)
    assert latest_snapshot_id(store) == second.snapshot_id


@pytest.mark.parametrize("published", [False, True], ids=["first", "later"])
def test_one_of_many_publishers_wins(store, published):
    parent = grow(store, images(3))
    if published:
        publish_snapshot(store, parent.snapshot_id)
    rivals = [grow(store, images(4 + i), parent if published else None).snapshot_id for i in range(6)]
    barrier = threading.Barrier(len(rivals))

    def publish(snapshot_id):
        barrier.wait()
        try:
            publish_snapshot(store, snapshot_id)
        except DataError:
            return None
        return snapshot_id

    with ThreadPoolExecutor(len(rivals)) as pool:
        winners = [winner for winner in pool.map(publish, rivals) if winner]

    assert winners == [latest_snapshot_id(store)]


def test_publishing_what_was_never_written_names_it(store):
    with pytest.raises(NotFoundError, match=r"snapshots/000001-abc/snapshot\.json"):
        publish_snapshot(store, "000001-abc")
