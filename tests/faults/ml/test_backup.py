"""The order of docs/operations.md: a backup that is taken while promotions go on restores to a store that serves."""

from __future__ import annotations

import hashlib
import shutil

import pytest

from ml import layout
from ml.config import StoreSettings
from ml.promotions import load_changes, newest_change
from ml.storage import dump_json, open_store
from promoted import record_promotion
from serving.mirror import Mirror

#: What names other objects, and moves or grows while the pipeline runs.
POINTERS = (layout.PROMOTIONS, layout.LATEST_SNAPSHOT)


def publish_and_promote(store, version):
    """As the pipeline does: the run's files, the version's files, its sums, then the record; a snapshot before."""
    snapshot = f"{version:06d}-s"
    for name in ("ledger.parquet", "manifest.parquet", "snapshot.json"):
        store.put(layout.snapshot_key(snapshot, name), b"{}")
    store.put(layout.LATEST_SNAPSHOT, dump_json({"snapshot_id": snapshot}))
    store.put(layout.run_key(f"run{version}", "samples.parquet"), b"samples")
    prefix, graph = layout.model_prefix("m", version), f"graph {version}".encode()
    store.put(f"{prefix}saved_model.pb", graph)
    store.put(prefix + layout.SUMS, f"{hashlib.sha256(graph).hexdigest()}  saved_model.pb\n".encode())
    record_promotion(store, "m", f"run{version}", "vgg16", version=version)


def copy(source, target, chosen):
    for info in list(source.list("")):
        if chosen(info.key):
            target.put(info.key, source.get(info.key))


@pytest.fixture
def stores(tmp_path):
    return [open_store(StoreSettings(url=str(tmp_path / name))) for name in ("store", "stage", "backup", "restored")]


def back_up(source, stage, backup, pointers_first):
    """With a promotion before, between and after the passes."""
    publish_and_promote(source, 1)
    passes = [
        lambda: copy(source, stage, lambda key: key.startswith(POINTERS)),
        lambda: copy(source, backup, lambda key: not key.startswith(POINTERS)),
    ]
    for number, one in enumerate(passes if pointers_first else reversed(passes)):
        one()
        publish_and_promote(source, number + 2)
    copy(stage, backup, lambda _: True)


def problems(store, folder):
    """What the record and the pointer name and the store lacks."""
    versions = {change.version for change in load_changes(store, "m")}
    missing = [f"version {one}" for one in Mirror(store, "m", folder).fetch(versions)]
    snapshot = layout.snapshot_key(f"{max(versions):06d}-s", "manifest.parquet")
    if store.head(snapshot) is None:
        missing.append(snapshot)
    runs = [layout.run_key(change.run_id, "samples.parquet") for change in load_changes(store, "m")]
    return missing + [key for key in runs if store.head(key) is None]


def test_pointers_first_restores_to_a_store_in_which_all_that_is_named_is_there(stores, tmp_path):
    source, stage, backup, restored = stores
    back_up(source, stage, backup, pointers_first=True)
    shutil.rmtree(tmp_path / "store")
    copy(backup, restored, lambda key: not key.startswith(POINTERS))
    copy(backup, restored, lambda key: key.startswith(POINTERS))

    assert problems(restored, tmp_path / "served") == []
    assert newest_change(restored, "m").serving.stable == 1
    publish_and_promote(restored, 4)
    assert problems(restored, tmp_path / "served") == []


def test_the_other_order_restores_to_a_record_of_versions_that_are_not_there(stores, tmp_path):
    source, stage, backup, _ = stores
    back_up(source, stage, backup, pointers_first=False)

    assert problems(backup, tmp_path / "served") != []
