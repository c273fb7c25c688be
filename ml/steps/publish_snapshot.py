"""Task ``publish_snapshot``: make a validated snapshot the one that training starts from."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from ml.snapshots import load_snapshot, publish_snapshot

if TYPE_CHECKING:
    from ml.context import Context

__all__ = ["run"]

log = logging.getLogger(__name__)


def run(context: Context, snapshot_id: str) -> dict[str, Any]:
    """Move ``snapshots/latest.json`` to the snapshot; returns its id, its parent and its counts.

    Raises:
        DataError: another snapshot was published since this one was begun.
    """
    publish_snapshot(context.store, snapshot_id)
    record = load_snapshot(context.store, snapshot_id).record
    log.info("snapshot %s is published: %d images", snapshot_id, record["images"])
    return {key: record[key] for key in ("snapshot_id", "parent", "images", "added", "duplicates", "quarantined")}
