"""Task ``assemble``: put what was taken in together with what was there into a snapshot that nothing points to yet."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from ml import layout
from ml.assembly import assemble, join_ledgers, says_more
from ml.attributes import decode_attributes
from ml.backlog import read_rows
from ml.errors import NotFoundError
from ml.manifest import LEDGER, empty
from ml.snapshots import latest_snapshot
from ml.storage import read_json

if TYPE_CHECKING:
    import pandas as pd

    from ml.context import Context
    from ml.snapshots import Snapshot

__all__ = ["run"]

log = logging.getLogger(__name__)

COUNTS = ("seen", "images", "duplicates", "excluded", "quarantined", "quarantined_by_reason")


def run(context: Context, ingest_id: str) -> dict[str, Any]:
    """Write the snapshot of an ingest whose chunks were all taken in.

    Returns:
        ``snapshot_id``, ``parent``, ``changed`` (False when nothing new had arrived, and no other attributes of what
        was there: then the snapshot is the parent) and the counts ``seen`` (ever), ``arrived`` (now), ``images``,
        ``added``, ``duplicates``, ``excluded``, ``quarantined`` and ``quarantined_by_reason``.

    Raises:
        DataError: not one of all objects is an acceptable image.
        NotFoundError: a chunk has not been taken in.
    """
    plan = read_json(context.store, layout.ingest_key(ingest_id))
    parent = latest_snapshot(context.store)
    arrived = join_ledgers(empty(LEDGER), *(_rows(context, chunk) for chunk in plan["chunks"]))
    told = _told(context, plan.get("attributes"))
    if arrived.empty and parent is not None and not says_more(context, parent, told):
        return _nothing_new(parent)
    releases = sorted({*(parent.record["releases"] if parent else []), *plan["releases"]})
    told_why = {name: plan.get(name, "") for name in ("reason", "asked_by")}
    record = {"created_at": plan["started_at"], "notes": plan["notes"], "releases": releases} | told_why
    snapshot_id, counts = assemble(context, parent, arrived, record, told)
    log.info(
        "snapshot %s: %d objects arrived in all, %d images (%d new), %d duplicates, %d excluded, %d quarantined%s",
        snapshot_id,
        *(counts[name] for name in ("seen", "images", "added", "duplicates", "excluded", "quarantined")),
        "".join(f", {reason} {count}" for reason, count in counts["quarantined_by_reason"].items()),
    )
    return {"snapshot_id": snapshot_id, "parent": parent and parent.snapshot_id, "changed": True, **counts}


def _rows(context: Context, chunk: str) -> pd.DataFrame:
    rows = read_rows(context.store, chunk)
    if rows is None:
        raise NotFoundError(f"The chunk {chunk} has not been taken in.", "Run `take_in` for it, then `assemble` again.")
    return rows


def _told(context: Context, key: str | None) -> pd.DataFrame | None:
    return None if key is None else decode_attributes(context.store.get(key))


def _nothing_new(parent: Snapshot) -> dict[str, Any]:
    log.info("nothing new since snapshot %s", parent.snapshot_id)
    kept = {name: parent.record[name] for name in COUNTS}
    return {
        "snapshot_id": parent.snapshot_id,
        "parent": parent.record["parent"],
        "changed": False,
        **kept,
        "arrived": 0,
        "added": 0,
    }
