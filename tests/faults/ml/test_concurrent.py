"""Ten ingests at once: every object in one place, one line of snapshots."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from ml.snapshots import Snapshot, latest_snapshot
from programs import run_program
from s3_servers import S3_SERVERS

PROGRAM = Path(__file__).with_name("concurrent_ingests.py")
#: Images of each of the two classes before the ingests, ingests at once, images that each of them brings.
FIRST, INGESTS, IMAGES = 20, 10, 4

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=S3_SERVERS)
def history(request, s3_credentials, tmp_path_factory):
    """The store after ten ingests, and the snapshots that they published."""
    server = request.getfixturevalue(request.param)
    url = f"s3://{server.bucket('concurrent').name}/q"
    printed = run_program(PROGRAM, url, server.endpoint, tmp_path_factory.mktemp("cache"), FIRST, INGESTS, IMAGES)
    return server.store(url), printed.split()


@pytest.fixture
def store(history):
    return history[0]


def lineage(store):
    """The published snapshots, the newest first."""
    snapshot = latest_snapshot(store)
    while snapshot is not None:
        yield snapshot
        parent = snapshot.record["parent"]
        snapshot = Snapshot(store, parent) if parent else None


def test_every_object_is_in_the_newest_snapshot_once(store):
    snapshot = latest_snapshot(store)
    landed = {(info.key, info.etag) for info in store.list("landing/")}
    booked = list(zip(snapshot.ledger["source_key"], snapshot.ledger["etag"], strict=True))

    assert len(landed) == 2 * FIRST + INGESTS * (IMAGES + 2)
    assert len(booked) == len(set(booked))
    assert set(booked) == landed


def test_every_image_is_an_image_a_duplicate_or_in_quarantine(store):
    record = latest_snapshot(store).record

    assert record["images"] == 2 * FIRST + INGESTS * IMAGES + 1
    assert record["duplicates"] == INGESTS - 1
    assert record["quarantined_by_reason"] == {"not_an_image": INGESTS}


def test_there_is_one_line_of_snapshots_and_each_holds_its_parent(history):
    store, published = history
    snapshots = list(lineage(store))
    numbers = [int(snapshot.snapshot_id.split("-")[0]) for snapshot in snapshots]

    assert sorted(snapshot.snapshot_id for snapshot in snapshots) == sorted(published)
    assert numbers == list(range(len(snapshots), 0, -1))
    assert len(numbers) > 1
    for child, parent in itertools.pairwise(snapshots):
        before = parent.manifest.set_index("image_id")["split"]
        assert child.manifest.set_index("image_id")["split"].reindex(before.index).to_dict() == before.to_dict()
        assert set(parent.ledger["source_key"]) < set(child.ledger["source_key"])
