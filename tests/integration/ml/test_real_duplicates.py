"""What ingest reports of a real set, held against a count that shares no code with it."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path

import pytest
from PIL import Image

from ml.config import Settings
from ml.context import Context
from ml.snapshots import Snapshot
from ml.steps import ingest
from ml.storage import open_store
from ml.upload import upload_folder

DATA = os.environ.get("QUARTET_REAL_DATA")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA, reason="QUARTET_REAL_DATA names no folder of labelled images"),
]


@pytest.fixture(scope="module")
def files():
    """Label, digest of the bytes, digest of the pixels, and format of every file, by its path below the set."""
    found = {}
    for path in sorted(Path(DATA or "").glob("*/*")):
        data = path.read_bytes()
        with Image.open(path) as image:
            pixels = image.convert("RGBA").convert("RGB")
            digest = hashlib.sha256(pixels.tobytes() + str(pixels.size).encode()).hexdigest()
            found[f"{path.parent.name}/{path.name}"] = (
                path.parent.name,
                hashlib.sha256(data).hexdigest(),
                digest,
                image.format,
            )
    return found


@pytest.fixture(scope="module")
def ingested(tmp_path_factory):
    tmp = tmp_path_factory.mktemp("real")
    settings = Settings.model_validate({"store": {"url": str(tmp / "store"), "cache_dir": tmp / "cache"}})
    context = Context(settings, open_store(settings.store))
    upload_folder(context.store, Path(DATA or ""))
    result = ingest.run(context, datetime.now(UTC))
    return result, Snapshot(context.store, result["snapshot_id"])


def labels_by(files, column):
    """The labels of all files that share a digest."""
    labels = defaultdict(list)
    for entry in files.values():
        labels[entry[column]].append(entry[0])
    return labels


def test_duplicates_and_conflicts_by_pixels_are_as_many_as_counted_apart(files, ingested):
    result, _ = ingested
    labels = labels_by(files, 2).values()
    agreed = [files for files in labels if len(set(files)) == 1]

    assert result["seen"] == len(files)
    assert result["images"] == len(agreed)
    assert result["duplicates"] == sum(len(files) - 1 for files in agreed)
    conflicts = sum(len(files) for files in labels if len(set(files)) > 1)
    assert result["quarantined_by_reason"].get("label_conflict", 0) == conflicts == result["quarantined"]


def test_duplicates_by_bytes_are_as_many_as_counted_apart(files, ingested):
    _, snapshot = ingested
    counted = labels_by(files, 1)
    found = snapshot.ledger.groupby("image_id").size()

    assert found.to_dict() == {digest: len(labels) for digest, labels in counted.items()}


def test_pngs_named_jpg_are_ingested(files, ingested):
    _, snapshot = ingested
    misnamed = {f"landing/{key}" for key, entry in files.items() if key.endswith(".jpg") and entry[3] == "PNG"}
    rows = snapshot.ledger[snapshot.ledger["source_key"].isin(misnamed)]

    assert set(rows["source_key"]) == misnamed
    assert rows["reason"].isna().all()
    assert set(rows["format"]) == {"PNG"}
