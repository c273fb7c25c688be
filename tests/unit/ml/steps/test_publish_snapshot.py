from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ml.context import Context
from ml.errors import NotFoundError, ValidationFailedError
from ml.snapshots import Snapshot, latest_snapshot_id
from ml.steps import ingest, publish_snapshot

NOW = datetime(2026, 1, 2, tzinfo=UTC)
# Great Expectations takes about ten seconds to import.
slow = pytest.mark.slow


@pytest.fixture
def take_in(context, put_image):
    """Adds an image and ingests."""

    def taken(seed):
        put_image("a", f"{seed}.png", seed=seed)
        return ingest.run(context, NOW + timedelta(days=seed))["snapshot_id"]

    return taken


def test_a_published_snapshot_is_the_newest(context, take_in):
    snapshot_id = take_in(1)
    result = publish_snapshot.run(context, snapshot_id)

    assert latest_snapshot_id(context.store) == snapshot_id
    assert result == {
        "snapshot_id": snapshot_id,
        "parent": None,
        "images": 1,
        "added": 1,
        "duplicates": 0,
        "excluded": 0,
        "quarantined": 0,
    }


def test_publishing_twice_gives_the_same_result(context, take_in):
    snapshot_id = take_in(1)

    assert publish_snapshot.run(context, snapshot_id) == publish_snapshot.run(context, snapshot_id)
    assert latest_snapshot_id(context.store) == snapshot_id


def test_the_next_snapshot_replaces_its_parent(context, take_in):
    first = take_in(1)
    publish_snapshot.run(context, first)
    second = take_in(2)
    result = publish_snapshot.run(context, second)

    assert (result["parent"], result["images"], result["added"]) == (first, 2, 1)
    assert latest_snapshot_id(context.store) == second


@pytest.fixture
def race(published_context, put_image):
    """Two ingests that began at the same snapshot and saw an image each; the second is published."""
    store = published_context.store
    snapshots = {}
    for days, name in enumerate(("slow", "fast"), start=1):
        put_image("spots", f"{name}.png", seed=days)
        snapshots[name] = ingest.run(published_context, NOW + timedelta(days=days))["snapshot_id"]
        store.delete(f"landing/spots/{name}.png")
    publish_snapshot.run(published_context, snapshots["fast"])
    return published_context, snapshots


@slow
def test_what_was_overtaken_is_put_on_top_of_what_was_faster(race):
    context, snapshots = race
    before = Snapshot(context.store, snapshots["fast"])
    result = publish_snapshot.run(context, snapshots["slow"])
    latest = Snapshot(context.store, result["snapshot_id"])

    assert latest_snapshot_id(context.store) == result["snapshot_id"] != snapshots["slow"]
    assert (result["parent"], result["added"]) == (snapshots["fast"], 1)
    assert {"landing/spots/slow.png", "landing/spots/fast.png"} < set(latest.manifest["source_key"])
    kept = latest.manifest.set_index("image_id").loc[before.manifest["image_id"]]
    assert kept["split"].tolist() == before.manifest["split"].tolist()


@slow
def test_a_rebased_snapshot_has_its_own_page(race):
    context, snapshots = race
    result = publish_snapshot.run(context, snapshots["slow"])

    assert context.store.head(f"snapshots/{result['snapshot_id']}/report/index.html") is not None


@slow
def test_what_another_ingest_published_already_is_not_published_again(race):
    context, snapshots = race
    rebased = publish_snapshot.run(context, snapshots["slow"])

    assert publish_snapshot.run(context, snapshots["slow"])["snapshot_id"] == rebased["snapshot_id"]
    assert publish_snapshot.run(context, snapshots["fast"])["snapshot_id"] == rebased["snapshot_id"]


@slow
def test_together_they_must_meet_the_expectations(race):
    context, snapshots = race
    strict = context.settings.validation.model_copy(update={"min_images_per_class": 1000})
    context = Context(context.settings.model_copy(update={"validation": strict}), context.store)

    with pytest.raises(ValidationFailedError, match="Images of each class: at least 1,000"):
        publish_snapshot.run(context, snapshots["slow"])
    assert latest_snapshot_id(context.store) == snapshots["fast"]


def test_a_snapshot_that_is_not_there_is_named(context):
    with pytest.raises(NotFoundError, match=r"snapshots/000001-abc/snapshot\.json"):
        publish_snapshot.run(context, "000001-abc")
