"""Attributes, from labels.csv into snapshots; what else becomes of objects is looked at with all of an ingest."""

from __future__ import annotations

import hashlib
import logging
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from ml.assembly import rebase
from ml.context import Context
from ml.snapshots import Snapshot, latest_snapshot
from ml.steps import assemble, ingest, list_arrivals, publish_snapshot, take_in
from ml.storage import dump_json, read_json

NOW = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture
def sited(make_settings, store):
    """A context that keeps the columns site and sex of labels.csv."""
    return Context(make_settings({"landing": {"attributes": ["site", "sex"]}}), store)


@pytest.fixture
def say(store):
    """Writes labels.csv, of (key, site, sex) rows."""

    def said(*rows):
        lines = "".join(f"{','.join((key, '', *values))}\n" for key, *values in rows)
        store.put("landing/labels.csv", f"key,label,site,sex\n{lines}".encode())

    return said


@pytest.fixture
def take(sited):
    """Ingests, publishes, and returns the snapshot."""

    def taken(days=0, within=sited):
        result = ingest.run(within, NOW + timedelta(days=days))
        return Snapshot(within.store, publish_snapshot.run(within, result["snapshot_id"])["snapshot_id"])

    return taken


@pytest.fixture
def images(put_image):
    """The ids of three images in the landing zone, by name."""
    return {name: hashlib.sha256(put_image("a", name, seed)).hexdigest() for seed, name in enumerate(("1", "2", "3"))}


def values(snapshot):
    rows = snapshot.attributes.reset_index().to_dict("records")
    return {row.pop("image_id"): tuple(None if pd.isna(value) else value for value in row.values()) for row in rows}


def keys(store, prefix=""):
    return [info.key for info in store.list(prefix)]


def test_a_snapshot_keeps_what_labels_csv_says_of_its_images(store, images, say, take):
    say(("a/1", "Ulm", "f"), ("a/2", "", "m"), ("a/none", "Ulm", "f"))
    snapshot = take()

    assert values(snapshot) == {images["1"]: ("Ulm", "f"), images["2"]: (None, "m")}
    assert list(snapshot.attributes) == ["site", "sex"]
    assert snapshot.attributes.index.is_monotonic_increasing
    assert f"snapshots/{snapshot.snapshot_id}/attributes.parquet" in keys(store)


def test_without_attributes_nothing_is_written_of_them_and_the_id_is_as_ever(store, context, images, say, take):
    say(("a/1", "Ulm", "f"))
    plain = ingest.run(context, NOW)["snapshot_id"]
    assert Snapshot(store, plain).attributes.empty
    assert [key for key in keys(store) if "attributes" in key] == []

    assert take().snapshot_id != plain


def test_what_labels_csv_no_longer_names_is_kept_from_the_parent(images, put_image, say, take):
    say(("a/1", "Ulm", "f"), ("a/2", "Ulm", "f"))
    take()
    say(("a/2", "Bonn", ""), ("b/4", "Jena", "m"))
    new = hashlib.sha256(put_image("b", "4", seed=4)).hexdigest()

    assert values(take(days=1)) == {images["1"]: ("Ulm", "f"), images["2"]: ("Bonn", None), new: ("Jena", "m")}


def test_without_a_labels_csv_the_parents_are_kept(store, images, put_image, say, take):
    say(("a/1", "Ulm", "f"))
    take()
    store.delete("landing/labels.csv")
    put_image("b", "4", seed=4)

    assert values(take(days=1)) == {images["1"]: ("Ulm", "f")}


def test_copies_that_are_told_different_things_are_noted(sited, store, images, say, put_image, take, caplog):
    put_image("a", "copy", seed=0)
    say(("a/1", "Ulm", "f"), ("a/copy", "Bonn", "f"))
    note = "labels.csv says different things of site for 1 image(s), of which it stays unknown"
    with caplog.at_level(logging.WARNING):
        snapshot = take()

    assert values(snapshot) == {images["1"]: (None, "f")}
    assert snapshot.record["notes"] == [note]
    assert [record.message for record in caplog.records] == [note]


def test_a_change_of_attributes_alone_makes_a_snapshot(sited, images, say, take):
    first = take()
    say(("a/1", "Ulm", "f"))
    result = ingest.run(sited, NOW + timedelta(days=1))

    assert (result["changed"], result["parent"], result["arrived"], result["added"]) == (True, first.snapshot_id, 0, 0)
    snapshot = take(days=1)
    assert values(snapshot) == {images["1"]: ("Ulm", "f")}
    pd.testing.assert_frame_equal(snapshot.manifest, first.manifest)
    assert ingest.run(sited, NOW + timedelta(days=2))["changed"] is False


@pytest.mark.parametrize(
    "rows",
    [[("a/2", "Ulm", "f"), ("a/1", "Ulm", "f")], [("a/1", "Ulm", "f"), ("none", "x", "y")], [("a/2", "Ulm", "f")], []],
    ids=["another order", "a key without an object", "fewer lines", "no lines"],
)
def test_a_labels_csv_that_says_nothing_else_makes_no_snapshot(sited, images, say, take, rows):
    say(("a/1", "Ulm", "f"), ("a/2", "Ulm", "f"))
    first = take()
    say(*rows)
    result = ingest.run(sited, NOW + timedelta(days=1))

    assert (result["changed"], result["snapshot_id"]) == (False, first.snapshot_id)


def test_a_column_that_is_no_longer_to_be_kept_is_gone_with_the_next_snapshot(
    context, make_settings, images, put_image, say, take
):
    say(("a/1", "Ulm", "f"))
    first = take()
    one = Context(make_settings({"landing": {"attributes": ["site"]}}), context.store)
    assert take(days=1, within=one).snapshot_id == first.snapshot_id
    put_image("b", "4", seed=4)
    assert values(take(days=2, within=one)) == {images["1"]: ("Ulm",)}
    put_image("b", "5", seed=5)

    assert take(days=3, within=context).attributes.empty


def test_an_ingest_keeps_to_the_labels_csv_that_it_read(sited, store, images, say):
    say(("a/1", "Ulm", "f"))
    (chunk,) = list_arrivals.run(sited, "run", NOW)
    say(("a/1", "Bonn", "m"))
    take_in.run(sited, "run", chunk)
    result = assemble.run(sited, "run")
    before = {key: store.get(key) for key in keys(store)}

    assert values(Snapshot(store, result["snapshot_id"])) == {images["1"]: ("Ulm", "f")}
    assert assemble.run(sited, "run") == result
    assert {key: store.get(key) for key in keys(store)} == before


def test_another_word_on_the_same_objects_is_another_snapshot(sited, images, say, take):
    say(("a/1", "Ulm", "f"))
    unpublished = ingest.run(sited, NOW)["snapshot_id"]
    say(("a/1", "Bonn", "f"))
    snapshot = take()

    assert snapshot.snapshot_id != unpublished
    assert values(snapshot) == {images["1"]: ("Bonn", "f")}


def test_a_plan_of_a_version_without_attributes_is_carried_out(sited, store, images):
    (chunk,) = list_arrivals.run(sited, "run", NOW)
    plan = read_json(store, "arrivals/plans/run.json")
    del plan["attributes"]
    store.put("arrivals/plans/run.json", dump_json(plan))
    take_in.run(sited, "run", chunk)

    assert assemble.run(sited, "run")["images"] == 3


@pytest.fixture
def overtaken(sited, store, images, put_image, say, take):
    """What is known when an ingest that read some rows, and saw a new image, is overtaken by one that read others."""

    def made(slow_rows, fast_rows, new=None):
        say(("a/1", "Ulm", "f"), ("a/2", "Ulm", "f"))
        take()
        data = put_image("b", new, seed=4) if new else b""
        say(*slow_rows)
        slow = ingest.run(sited, NOW + timedelta(days=1))["snapshot_id"]
        say(*fast_rows)
        if new:
            images[new] = hashlib.sha256(data).hexdigest()
            store.delete(f"landing/b/{new}")
        take(days=2)
        rebased = rebase(sited, Snapshot(store, slow), latest_snapshot(store))
        return rebased and values(Snapshot(store, rebased))

    return made


def test_on_top_of_a_faster_ingest_goes_what_this_one_changed(overtaken, images):
    rows = overtaken([("a/1", "Bonn", "f"), ("a/2", "Ulm", "f")], [("a/1", "Ulm", "f"), ("a/2", "Jena", "")])

    assert rows == {images["1"]: ("Bonn", "f"), images["2"]: ("Jena", None)}


def test_new_images_bring_their_attributes_on_top_of_a_faster_ingest(overtaken, images):
    rows = overtaken([("b/4", "Jena", "m")], [("a/2", "Ulm", "m")], new="4")

    assert rows == {images["1"]: ("Ulm", "f"), images["2"]: ("Ulm", "m"), images["4"]: ("Jena", "m")}


def test_a_change_that_the_faster_ingest_made_as_well_is_no_change(overtaken):
    assert overtaken([("a/1", "Bonn", "f")], [("a/1", "Bonn", "f"), ("a/2", "Jena", "f")]) is None


def test_why_images_were_taken_in_and_who_asked_is_kept_also_on_top_of_a_faster_ingest(
    sited, store, images, put_image, take
):
    take()
    put_image("b", "4", seed=4)
    for chunk in list_arrivals.run(sited, "slow", NOW + timedelta(days=1), "from the north", "jane"):
        take_in.run(sited, "slow", chunk)
    slow = Snapshot(store, assemble.run(sited, "slow")["snapshot_id"])
    store.delete("landing/b/4")
    put_image("b", "5", seed=5)
    take(days=2)

    rebased = Snapshot(store, rebase(sited, slow, latest_snapshot(store)) or "none")

    assert {(one.record["reason"], one.record["asked_by"]) for one in (slow, rebased)} == {("from the north", "jane")}
