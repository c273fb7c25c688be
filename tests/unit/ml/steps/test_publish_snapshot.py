from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ml.errors import DataError, NotFoundError
from ml.snapshots import latest_snapshot_id
from ml.steps import ingest, publish_snapshot

NOW = datetime(2026, 1, 2, tzinfo=UTC)


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


def test_a_snapshot_that_was_overtaken_is_refused_and_a_new_ingest_takes_it_up(context, take_in):
    first = take_in(1)
    publish_snapshot.run(context, first)
    slow, fast = take_in(2), take_in(3)
    publish_snapshot.run(context, fast)

    with pytest.raises(DataError, match=f"{slow} grew from {first}.* Remedy: Run ingest again"):
        publish_snapshot.run(context, slow)
    assert latest_snapshot_id(context.store) == fast
    assert publish_snapshot.run(context, take_in(4))["images"] == 4


def test_a_snapshot_that_is_not_there_is_named(context):
    with pytest.raises(NotFoundError, match=r"snapshots/000001-abc/snapshot\.json"):
        publish_snapshot.run(context, "000001-abc")
