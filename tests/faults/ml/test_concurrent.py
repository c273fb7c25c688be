"""Ten ingests at once: every object in one place, one line of snapshots."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import threading
from pathlib import Path

import boto3
import pytest
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

from ml.config import StoreSettings
from ml.snapshots import Snapshot, latest_snapshot
from ml.storage import open_store

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = Path(__file__).with_name("concurrent_ingests.py")
INGESTS, IMAGES = 10, 4

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """The store after ten ingests."""
    # Moto checks a condition and writes in one step only as long as it is asked one thing at a time.
    application = DomainDispatcherApplication(create_backend_app)
    server = make_server("127.0.0.1", 0, application, threaded=False, request_handler=MotoRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    credentials = {"AWS_ACCESS_KEY_ID": "tests", "AWS_SECRET_ACCESS_KEY": "tests"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in credentials.items():
            patch.setenv(name, value)
        boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1").create_bucket(Bucket="concurrent")
        process = subprocess.run(
            [sys.executable, PROGRAM, "s3://concurrent/q", endpoint, str(tmp_path_factory.mktemp("cache"))],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)} | credentials,
            capture_output=True,
            text=True,
            check=False,
        )
        assert process.returncode == 0, process.stderr[-5000:]
        yield open_store(StoreSettings(url="s3://concurrent/q", endpoint_url=endpoint))
    server.shutdown()
    server.server_close()


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

    assert len(landed) == 40 + INGESTS * (IMAGES + 2)
    assert len(booked) == len(set(booked))
    assert set(booked) == landed


def test_every_image_is_an_image_a_duplicate_or_in_quarantine(store):
    record = latest_snapshot(store).record

    assert record["images"] == 40 + INGESTS * IMAGES + 1
    assert record["duplicates"] == INGESTS - 1
    assert record["quarantined_by_reason"] == {"not_an_image": INGESTS}


def test_there_is_one_line_of_snapshots_and_each_holds_its_parent(store):
    snapshots = list(lineage(store))
    numbers = [int(snapshot.snapshot_id.split("-")[0]) for snapshot in snapshots]

    assert numbers == list(range(len(snapshots), 0, -1))
    for child, parent in itertools.pairwise(snapshots):
        before = parent.manifest.set_index("image_id")["split"]
        assert child.manifest.set_index("image_id")["split"].reindex(before.index).to_dict() == before.to_dict()
        assert set(parent.ledger["source_key"]) < set(child.ledger["source_key"])
