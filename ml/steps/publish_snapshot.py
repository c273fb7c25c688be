"""Task ``publish_snapshot``: make a validated snapshot the one that training starts from."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from ml.assembly import rebase
from ml.errors import OvertakenError
from ml.snapshots import Snapshot, latest_snapshot, publish_snapshot
from ml.steps import describe, validate

if TYPE_CHECKING:
    from ml.context import Context

__all__ = ["run"]

log = logging.getLogger(__name__)

KEPT = ("snapshot_id", "parent", "images", "added", "duplicates", "excluded", "quarantined")


def run(context: Context, snapshot_id: str) -> dict[str, Any]:
    """Move ``snapshots/latest.json`` to the snapshot.

    When another ingest was faster, what this one took in is put on top of what that one published, described and
    validated anew, and published then; there is one line of snapshots, and every object is in it.

    Returns:
        The id, parent and counts of the snapshot that holds what this ingest took in.

    Raises:
        ValidationFailedError: the two ingests together do not meet a critical expectation.
    """
    while True:
        try:
            publish_snapshot(context.store, snapshot_id)
        except OvertakenError:
            latest = latest_snapshot(context.store)
            if latest is None:
                raise
            rebased = rebase(context, Snapshot(context.store, snapshot_id), latest)
            if rebased is None:
                log.info("snapshot %s: another ingest published all of it in %s", snapshot_id, latest.snapshot_id)
                return {name: latest.record[name] for name in KEPT}
            snapshot_id = rebased
            describe.run(context, snapshot_id)
            validate.run(context, snapshot_id)
        else:
            break
    record = Snapshot(context.store, snapshot_id).record
    log.info("snapshot %s is published: %d images", snapshot_id, record["images"])
    return {name: record[name] for name in KEPT}
