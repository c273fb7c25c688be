"""Forgetting images, from the withdrawal to what an ingest makes of the same picture that comes again."""

from __future__ import annotations

import hashlib
import io
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ml.assembly import rebase
from ml.attributes import decode_attributes
from ml.context import Context
from ml.errors import DataError
from ml.features import FeatureReader, set_aside, write_shard
from ml.forget import forget, plan_forgetting
from ml.labels import Labeller
from ml.plan import load_samples, store_plan
from ml.quarantine import find_refused, refused_objects, show_refused
from ml.releases import release_objects
from ml.snapshots import Snapshot, latest_snapshot
from ml.steps import assemble, ingest, list_arrivals, publish_snapshot, split, take_in
from ml.storage import read_json
from ml.tombstones import write_tombstones

NOW = datetime(2026, 1, 2, tzinfo=UTC)
LATER = NOW + timedelta(days=1)
PREFIX = "features/tiny/0123/"


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def in_form(data, form):
    """The same pixels in another file."""
    stream = io.BytesIO()
    Image.open(io.BytesIO(data)).save(stream, form)
    return stream.getvalue()


def keys(store, prefix=""):
    return [info.key for info in store.list(prefix)]


def holds(store, data):
    """The keys outside the landing zone whose object contains some bytes."""
    return [key for key in keys(store) if not key.startswith("landing/") and data in store.get(key)]


@pytest.fixture
def take(context):
    """Ingests what is new, publishes, and returns the snapshot."""

    def taken(days=0, within=context):
        result = ingest.run(within, NOW + timedelta(days=days))
        return Snapshot(context.store, publish_snapshot.run(within, result["snapshot_id"])["snapshot_id"])

    return taken


@pytest.fixture
def images(put_image, take):
    """Twelve published images of two classes: their bytes by key below the landing zone."""
    data = {
        f"{label}/{n}.png": put_image(label, f"{n}.png", n + 10 * (label == "b")) for label in "ab" for n in range(6)
    }
    take()
    return data


@pytest.fixture
def forget_images(context):
    """Forgets what is named, and returns the id of the new snapshot."""

    def forgotten(*names, landing=False, now=LATER):
        return forget(context, plan_forgetting(context, names), "consent withdrawn", "ann", now, landing=landing)

    return forgotten


def test_a_snapshot_without_the_image_is_published_and_its_bytes_are_gone(store, images, forget_images):
    before = latest_snapshot(store)
    image_id = sha256(images["a/3.png"])
    snapshot_id = forget_images(image_id[:8])
    after = latest_snapshot(store)

    assert (after.snapshot_id, after.record["parent"]) == (snapshot_id, before.snapshot_id)
    expected = before.manifest[before.manifest["image_id"] != image_id].reset_index(drop=True)
    pd.testing.assert_frame_equal(after.manifest, expected)
    assert holds(store, images["a/3.png"]) == []
    assert holds(store, images["a/2.png"]) != []
    assert after.record["quarantined_by_reason"] == {"forgotten": 1}


def test_the_ledger_says_no_more_than_that_the_object_was_seen(store, images, forget_images):
    forget_images(sha256(images["a/3.png"]))
    ledger = latest_snapshot(store).ledger.set_index("source_key")
    row = ledger.loc["landing/a/3.png"].dropna()

    assert set(row.index) == {
        "etag", "last_modified", "bytes", "reason", "image_id", "pixel_id", "ingested_at", "snapshot"
    }  # fmt: skip
    assert row["reason"] == "forgotten"
    assert ledger["reason"].notna().sum() == 1


def test_the_snapshot_before_stays_as_it_is(store, images, forget_images):
    before = {key: store.get(key) for key in keys(store, "snapshots/000001")}
    forget_images(sha256(images["a/3.png"]))

    assert {key: store.get(key) for key in keys(store, "snapshots/000001")} == before


def test_all_files_of_a_picture_are_forgotten(store, images, put_image, take, forget_images):
    data = images["a/3.png"]
    again = in_form(data, "BMP")
    store.put("landing/a/again.bmp", again)
    store.put("landing/nowhere.bmp", again)
    store.put("landing/also-nowhere.tiff", in_form(data, "TIFF"))
    take(days=1)
    forget_images(sha256(again)[:10])

    ledger = latest_snapshot(store).ledger
    assert set(ledger["source_key"][ledger["reason"] == "forgotten"]) == {
        "landing/a/3.png",
        "landing/a/again.bmp",
        "landing/nowhere.bmp",
        "landing/also-nowhere.tiff",
    }
    assert [key for form in (data, again, in_form(data, "TIFF")) for key in holds(store, form)] == []
    assert keys(store, "quarantine/") == []


def test_pictures_of_contradictory_labels_are_forgotten_in_quarantine(store, images, put_image, take, forget_images):
    data = put_image("a", "same.png", seed=50)
    put_image("b", "same.png", seed=50)
    take(days=1)
    assert latest_snapshot(store).record["quarantined_by_reason"] == {"label_conflict": 2}
    forget_images(sha256(data))

    assert holds(store, data) == []
    assert latest_snapshot(store).record["quarantined_by_reason"] == {"forgotten": 2}


def test_what_is_no_image_is_forgotten_by_its_bytes(store, images, take, forget_images):
    store.put("landing/a/notes.txt", b"a name and a date of birth")
    take(days=1)
    forget_images(sha256(b"a name and a date of birth"))

    assert holds(store, b"a name and a date of birth") == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("abcdef0", "'abcdef0' is no image id"),
        ("a/3.png", r"'a/3\.png' is no image id"),
        ("00000000", "The newest snapshot knows no image '00000000'"),
    ],
    ids=["too few digits", "a key", "unknown"],
)
def test_a_name_that_means_no_image_is_refused(images, forget_images, name, message):
    with pytest.raises(DataError, match=message):
        forget_images(name)


def test_digits_that_begin_two_images_are_refused(context, images):
    from ml.pictures import find_pictures

    ledger = pd.DataFrame(
        {
            "image_id": ["abcdef01", "abcdef012", "abcdef013"],
            "pixel_id": ["p", "q", "q"],
            "reason": None,
            "source_key": "k",
        }
    )

    with pytest.raises(DataError, match=r"'abcdef01' begins 2 different images: abcdef01, abcdef012, abcdef013"):
        find_pictures(context, ledger, ["abcdef01"])


def test_nothing_is_forgotten_before_the_first_snapshot(forget_images):
    with pytest.raises(DataError, match="no published snapshot"):
        forget_images("abcdef01")


def test_feature_maps_go_with_those_of_views_and_the_others_stay(store, settings, images, forget_images):
    ids = [sha256(data) for data in images.values()]
    rows = [*ids[:3], f"{ids[1]}+flip", *ids[3:5]]
    maps = np.random.default_rng(0).random((6, 2, 2, 3)).astype(np.float16)
    write_shard(store, PREFIX, rows, maps)
    before = keys(store, PREFIX)
    write_shard(store, PREFIX, ids[5:11], maps)
    untouched = {key: store.get(key) for key in keys(store, PREFIX) if key not in before}
    write_shard(store, PREFIX, [f"{ids[1]}+turned"], maps[:1])
    forget_images(ids[1])

    reader = FeatureReader(store, PREFIX, settings.store.cache_dir)
    kept = [row for row in rows if ids[1] not in row]
    np.testing.assert_array_equal(reader.take(kept), maps[[0, 2, 4, 5]])
    assert [row in reader for row in (ids[1], f"{ids[1]}+flip", f"{ids[1]}+turned")] == [False] * 3
    assert len(keys(store, PREFIX)) == 4
    assert {key: store.get(key) for key in untouched} == untouched


@pytest.mark.parametrize("harm", [lambda data: data[:100], lambda data: data[:-1] + b"?"], ids=["cut", "changed"])
def test_a_corrupt_shard_goes_whole(store, settings, images, forget_images, harm):
    ids = [sha256(data) for data in images.values()]
    write_shard(store, PREFIX, ids, np.zeros((len(ids), 1, 1, 2), np.float16))
    (shard,) = (key for key in keys(store, PREFIX) if key.endswith(".npy"))
    store.put(shard, harm(store.get(shard)))
    forget_images(ids[1])

    assert keys(store, PREFIX) == []


def test_corrupt_shards_that_were_moved_aside_go(store, settings, images, forget_images):
    ids = [sha256(data) for data in images.values()]
    write_shard(store, PREFIX, ids, np.zeros((len(ids), 1, 1, 2), np.float16))
    (shard,) = (key for key in keys(store, PREFIX) if key.endswith(".npy"))
    set_aside(store, shard)
    forget_images(ids[1])

    assert keys(store, PREFIX) == []


def test_the_same_picture_is_refused_when_it_comes_again(store, images, put_image, take, forget_images):
    data = images["a/3.png"]
    forget_images(sha256(data))
    forms = {"a/new.png": data, "a/new.bmp": in_form(data, "BMP"), "unlabelled.tiff": in_form(data, "TIFF")}
    for name, form in forms.items():
        store.put(f"landing/{name}", form)
    put_image("b", "good.png", seed=70)
    snapshot = take(days=2)

    assert snapshot.record["quarantined_by_reason"] == {"forgotten": 4}
    assert snapshot.record["added"] == 1
    assert [key for form in forms.values() for key in holds(store, form)] == []
    records = [read_json(store, key) for key in keys(store, "quarantine/")]
    assert {record["source_key"] for record in records} == {f"landing/{name}" for name in forms}
    assert {record["reason"] for record in records} == {"forgotten"}


def test_a_file_that_is_too_large_is_known_by_its_bytes(store, make_settings, images, put_image, take, forget_images):
    data = put_image("a", "large.png", seed=80, size=(90, 90))
    put_image("a", "more.png", seed=81)
    take(days=1)
    forget_images(sha256(data))
    store.put("landing/a/copy.png", data)
    strict = Context(make_settings({"images": {"max_bytes": len(data) - 1}}), store)

    assert take(days=2, within=strict).record["quarantined_by_reason"] == {"forgotten": 2}
    assert holds(store, data) == []


def test_it_is_not_read_again_for_the_sake_of_a_label(store, images, put_image, take, forget_images):
    forget_images(sha256(images["a/3.png"]))
    before = latest_snapshot(store).snapshot_id
    store.put("landing/labels.csv", b"key,label\na/3.png,b\n")

    assert take(days=2).snapshot_id == before


def test_the_landing_zone_is_left_alone_unless_it_is_said(context, store, images, forget_images):
    image_id = sha256(images["a/3.png"])
    assert [key for plan in plan_forgetting(context, [image_id]) for key, _ in plan.landing] == ["landing/a/3.png"]
    forget_images(image_id)
    assert store.head("landing/a/3.png")
    forget_images(image_id, landing=True)

    assert len(keys(store, "landing/")) == 11
    assert store.head("landing/a/3.png") is None


def test_a_version_that_replaced_it_meanwhile_stays_in_the_landing_zone(context, store, images, put_image):
    plans = plan_forgetting(context, [sha256(images["a/3.png"])])
    put_image("a", "3.png", seed=90)
    forget(context, plans, "consent withdrawn", "ann", LATER, landing=True)

    assert store.head("landing/a/3.png")
    assert plan_forgetting(context, [sha256(images["a/3.png"])])[0].landing == ()


def test_the_tombstone_says_who_when_why_and_what(store, images, forget_images):
    image_id = sha256(images["a/3.png"])
    forget_images(image_id)
    record = read_json(store, f"forgotten/{image_id}.json")

    assert (record["by"], record["note"], record["forgotten_at"]) == ("ann", "consent withdrawn", LATER.isoformat())
    assert record["removed"]["files"] == [f"images/{image_id[:2]}/{image_id}.png"]
    assert record["source_key_digests"] == [sha256(b"landing/a/3.png")]
    assert read_json(store, f"forgotten/{record['pixel_id']}.json") == record
    assert b"a/3.png" not in store.get(f"forgotten/{image_id}.json")


def test_forgetting_twice_changes_nothing(store, images, forget_images):
    forget_images(sha256(images["a/3.png"]))
    before = {key: store.get(key) for key in keys(store)}

    assert forget_images(sha256(images["a/3.png"]), now=LATER + timedelta(days=1)) is None
    assert {key: store.get(key) for key in keys(store)} == before


def test_several_images_are_left_out_of_one_snapshot(store, images, forget_images):
    forget_images(*(sha256(images[name]) for name in ("a/1.png", "a/2.png", "b/1.png")))

    assert (latest_snapshot(store).snapshot_id[:6], len(latest_snapshot(store).manifest)) == ("000002", 9)


def test_the_last_image_can_be_forgotten(store, put_image, take, forget_images):
    data = put_image("a", "only.png")
    take()
    forget_images(sha256(data))

    assert latest_snapshot(store).manifest.empty


def test_training_on_an_old_snapshot_leaves_it_out(context, store, put_image, take, forget_images, caplog):
    data = {n: put_image("ab"[n % 2], f"{n}.png", seed=n) for n in range(40)}
    old = take().snapshot_id
    split.run(context, "before", old)
    forget_images(sha256(data[3]))
    split.run(context, "after", old)

    assert sha256(data[3]) not in set(load_samples(store, "after")["image_id"])
    assert sha256(data[3]) not in set(load_samples(store, "before")["image_id"])
    assert len(load_samples(store, "before")) == len(load_samples(store, "after")) == 39
    assert f"snapshot {old} names 1 image(s) that were forgotten since" in caplog.text


def test_an_ingest_under_way_ends_without_it(context, store, images, put_image, forget_images):
    """What it has taken in already is the same picture in another file, of which the withdrawal knows nothing."""
    again = in_form(images["a/3.png"], "BMP")
    store.put("landing/a/again.bmp", again)
    put_image("a", "new.png", seed=60)
    for chunk in list_arrivals.run(context, "slow", LATER):
        take_in.run(context, "slow", chunk)
    forget_images(sha256(images["a/3.png"]))
    publish_snapshot.run(context, assemble.run(context, "slow")["snapshot_id"])

    snapshot = latest_snapshot(store)
    assert snapshot.record["quarantined_by_reason"] == {"forgotten": 2}
    assert len(snapshot.manifest) == 12
    assert holds(store, again) == []


def test_an_ingest_that_is_overtaken_is_put_on_top_without_it(context, store, images, put_image, forget_images):
    put_image("a", "new.png", seed=60)
    slow = ingest.run(context, LATER)["snapshot_id"]
    forget_images(sha256(images["a/3.png"]))
    rebased = Snapshot(store, rebase(context, Snapshot(store, slow), latest_snapshot(store)))

    assert sha256(images["a/3.png"]) not in set(rebased.manifest["image_id"])
    assert len(rebased.manifest) == 12


def test_the_newest_snapshot_counts_when_an_ingest_was_faster(context, store, images, put_image, take):
    plans = plan_forgetting(context, [sha256(images["a/3.png"])])
    put_image("a", "new.png", seed=60)
    take(days=1)
    forget(context, plans, "consent withdrawn", "ann", LATER)

    assert latest_snapshot(store).snapshot_id.startswith("000003")
    assert len(latest_snapshot(store).manifest) == 12


def test_quarantine_shows_it_and_does_not_release_it(store, settings, images, forget_images):
    forget_images(sha256(images["a/3.png"]))
    rows = find_refused(refused_objects(store), "a/3.png")
    (row,) = rows.to_dict("records")

    assert show_refused(store, row)[1:3] == ("forgotten", "consent withdrawn")
    with pytest.raises(DataError, match=r"landing/a/3\.png was forgotten"):
        release_objects(store, rows, Labeller(settings), "a", "once more", "bob", LATER)


def test_pages_that_show_it_go_and_others_stay(store, images, forget_images):
    """Of each class the six first are shown; those that a validation found outside are shown too."""
    shown = sorted(sha256(data) for data in images.values())
    for name in ("samples.png", "index.html", "classes.png"):
        store.put(f"snapshots/000001-old/report/{name}", b"a page")
        store.put(f"snapshots/000002-old/report/{name}", b"a page")
    manifest = latest_snapshot(store).manifest
    table = pd.DataFrame({"image_id": [*shown, *(f"0{n}" for n in range(12))], "label": "a"})
    for number, frame in ((1, manifest), (2, table)):
        buffer = io.BytesIO()
        frame.to_parquet(buffer)
        store.put(f"snapshots/00000{number}-old/manifest.parquet", buffer.getvalue())
    store.put("snapshots/000002-old/report/validation.json", f'["{shown[-1]}"]'.encode())
    forget_images(shown[-1])

    assert keys(store, "snapshots/000001-old/report/") == ["snapshots/000001-old/report/classes.png"]
    assert keys(store, "snapshots/000002-old/report/") == [
        "snapshots/000002-old/report/classes.png",
        "snapshots/000002-old/report/samples.png",
        "snapshots/000002-old/report/validation.json",
    ]


@pytest.fixture
def sited(make_settings, store, images, put_image, take):
    """A context that keeps the column site; two snapshots have it of the twelve images, and of a copy's key."""
    context = Context(make_settings({"landing": {"attributes": ["site"]}}), store)
    data = {**images, "a/copy.png": images["a/3.png"]}
    store.put("landing/a/copy.png", images["a/3.png"])
    store.put("landing/labels.csv", "".join(["key,label,site\n", *(f"{key},,Ulm\n" for key in data)]).encode())
    take(days=1, within=context)
    put_image("b", "new.png", seed=60)
    take(days=2, within=context)
    return context


def attribute_tables(store):
    """What names the rows of each table of attributes, by key."""
    names = [key for key in keys(store) if key.startswith("arrivals/attributes/") or key.endswith("attributes.parquet")]
    return {key: set(decode_attributes(store.get(key)).index) for key in names}


def test_its_attributes_go_from_all_snapshots_and_from_what_ingests_read(sited, store, images, forget_images):
    image_id, names = sha256(images["a/3.png"]), {"landing/a/3.png", "landing/a/copy.png"}
    before = attribute_tables(store)
    assert len(before) == 3
    assert all(rows & {image_id, *names} for rows in before.values())
    snapshot_id = forget_images(image_id)
    after = attribute_tables(store)

    assert after.pop(f"snapshots/{snapshot_id}/attributes.parquet") == {sha256(images[key]) for key in images} - {
        image_id
    }
    assert after == {key: rows - {image_id, *names} for key, rows in before.items()}
    assert read_json(store, f"forgotten/{image_id}.json")["removed"]["attribute_tables"] == sorted(before)


def test_later_ingests_read_nothing_of_it_though_labels_csv_names_it(
    sited, store, images, put_image, take, forget_images
):
    forget_images(sha256(images["a/3.png"]))
    put_image("b", "newer.png", seed=61)
    snapshot = take(days=3, within=sited)

    assert set(snapshot.attributes.index) == {sha256(data) for data in images.values()} - {sha256(images["a/3.png"])}
    assert not any({"landing/a/3.png", "landing/a/copy.png"} & rows for rows in attribute_tables(store).values())
    assert ingest.run(sited, LATER + timedelta(days=4))["changed"] is False


def test_an_ingest_under_way_that_read_its_attributes_ends_without_them(sited, store, images, put_image, forget_images):
    put_image("b", "slow.png", seed=62)
    for chunk in list_arrivals.run(sited, "slow", LATER):
        take_in.run(sited, "slow", chunk)
    forget_images(sha256(images["a/3.png"]))
    publish_snapshot.run(sited, assemble.run(sited, "slow")["snapshot_id"])

    assert len(latest_snapshot(store).attributes) == len(images) - 1
    assert all(sha256(images["a/3.png"]) not in rows for rows in attribute_tables(store).values())


def test_a_snapshot_that_was_written_meanwhile_keeps_no_attributes_of_it(sited, store, images, put_image):
    image_id = sha256(images["a/3.png"])
    plans = plan_forgetting(sited, [image_id])
    put_image("b", "slow.png", seed=62)
    ingest.run(sited, LATER)
    forget(sited, plans, "consent withdrawn", "ann", LATER)

    assert all(image_id not in rows for rows in attribute_tables(store).values())


def test_a_tombstone_of_a_version_without_attributes_is_added_to(sited, store, images, forget_images):
    image_id = sha256(images["a/3.png"])
    forget_images(image_id)
    record = read_json(store, f"forgotten/{image_id}.json")
    removed = {name: found for name, found in record["removed"].items() if name != "attribute_tables"}
    write_tombstones(store, record | {"removed": removed})
    forget_images(image_id)

    assert read_json(store, f"forgotten/{image_id}.json")["removed"] == removed | {"attribute_tables": []}


def test_a_run_that_has_trained_nothing_yet_is_listed(context, store, images):
    image_id = sha256(images["a/3.png"])
    samples = pd.DataFrame({"image_id": [image_id, "other"], "split": ["train", "test"]})
    store_plan(store, {"run_id": "young"}, samples)
    store_plan(store, {"run_id": "without"}, samples[1:])

    (plan,) = plan_forgetting(context, [image_id])
    assert [(one.run_id, one.variant, one.split) for one in plan.models] == [("young", None, "train")]
