"""Task ``ingest``: take new objects from the landing zone into the content-addressed store, or into quarantine."""

from __future__ import annotations

import logging
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, Any

import pandas as pd

from ml import layout
from ml.arrivals import quarantine_conflict, take_object
from ml.errors import DataError
from ml.manifest import LEDGER, empty
from ml.snapshots import build_manifest, latest_snapshot_id, load_snapshot, place_images, write_snapshot

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from ml.context import Context
    from ml.snapshots import Snapshot
    from ml.storage import ObjectInfo

__all__ = ["run"]

log = logging.getLogger(__name__)

WORKERS = 8
#: Objects in flight at a time: bounds memory by this many images, whatever the length of the listing.
CHUNK = 256


def run(context: Context, now: datetime) -> dict[str, Any]:
    """Read what is new in the landing zone and write a snapshot that nothing points to yet.

    Args:
        context: settings and store.
        now: when this ingest began, kept as ``ingested_at``.

    Returns:
        ``snapshot_id``, ``parent``, ``changed`` (False when nothing new had arrived: then the snapshot is the
        parent) and the counts ``seen`` (ever), ``arrived`` (now), ``images``, ``added``, ``duplicates``,
        ``quarantined`` and ``quarantined_by_reason``.

    Raises:
        DataError: the landing zone is empty and always was, or holds no acceptable image.
    """
    started = time.monotonic()
    parent = _parent(context)
    ledger = parent.ledger if parent else empty(LEDGER)
    new = _new_objects(context, ledger)
    rows = [row for row in _take_all(context, new, now) if row is not None]
    if not rows:
        return _nothing_new(context, parent)
    ledger = _mark_conflicts(context, pd.concat([_typed(ledger), _typed(pd.DataFrame(rows))], ignore_index=True))
    ledger = place_images(ledger, context.settings)
    manifest = build_manifest(ledger)
    counts = _count(ledger, manifest, len(rows), parent)
    if manifest.empty:
        raise DataError(
            f"None of {len(ledger)} objects under {context.store.uri(layout.LANDING)} is an acceptable image: "
            f"{counts['quarantined_by_reason']}.",
            "See the records under quarantine/, then upload images as landing/<label>/<file>.",
        )
    snapshot_id = write_snapshot(context.store, parent, manifest, ledger, {**counts, "created_at": now.isoformat()})
    log.info(
        "snapshot %s: %d objects arrived in all, %d images (%d new), %d duplicates, %d quarantined%s, in %.1f s",
        snapshot_id,
        counts["seen"],
        counts["images"],
        counts["added"],
        counts["duplicates"],
        counts["quarantined"],
        "".join(f", {reason} {count}" for reason, count in counts["quarantined_by_reason"].items()),
        time.monotonic() - started,
    )
    return {
        "snapshot_id": snapshot_id,
        "parent": parent.snapshot_id if parent else None,
        "changed": True,
        **counts,
    }


def _parent(context: Context) -> Snapshot | None:
    snapshot_id = latest_snapshot_id(context.store)
    return load_snapshot(context.store, snapshot_id) if snapshot_id else None


def _new_objects(context: Context, ledger: pd.DataFrame) -> Iterator[ObjectInfo]:
    seen = set(zip(ledger["source_key"], ledger["etag"], strict=True))
    return (info for info in context.store.list(layout.LANDING) if (info.key, info.etag) not in seen)


def _take_all(context: Context, objects: Iterable[ObjectInfo], now: datetime) -> Iterator[dict[str, Any] | None]:
    remaining = iter(objects)
    with ThreadPoolExecutor(WORKERS, thread_name_prefix="ingest") as pool:
        while chunk := list(islice(remaining, CHUNK)):
            yield from pool.map(lambda info: take_object(context, info, now), chunk)


def _nothing_new(context: Context, parent: Snapshot | None) -> dict[str, Any]:
    if parent is None:
        raise DataError(
            f"The landing zone {context.store.uri(layout.LANDING)} is empty.",
            "Upload images as landing/<label>/<file>, or run `make demo` for a phantom set.",
        )
    log.info("nothing new since snapshot %s", parent.snapshot_id)
    kept = {key: parent.record[key] for key in ("seen", "images", "duplicates", "quarantined", "quarantined_by_reason")}
    return {
        "snapshot_id": parent.snapshot_id,
        "parent": parent.record["parent"],
        "changed": False,
        **kept,
        "arrived": 0,
        "added": 0,
    }


def _typed(frame: pd.DataFrame) -> pd.DataFrame:
    """Give a table the ledger's dtypes, so that joining tables with empty columns keeps them."""
    types = {field.name: LEDGER.columns.empty_table().to_pandas()[field.name].dtype for field in LEDGER.columns}
    nullable = {"int32": "Int32", "int64": "Int64"}
    return frame[list(types)].astype({name: nullable.get(str(dtype), dtype) for name, dtype in types.items()})


def _mark_conflicts(context: Context, ledger: pd.DataFrame) -> pd.DataFrame:
    """Quarantine every object whose pixels came under more than one label: nobody knows which one is right."""
    decodable = ledger[ledger["pixel_id"].notna() & (ledger["reason"].isna() | (ledger["reason"] == "label_conflict"))]
    labels = decodable.groupby("pixel_id")["label"].nunique()
    conflicting = ledger["pixel_id"].isin(labels[labels > 1].index) & ledger["reason"].isna()
    for row in ledger[conflicting].itertuples():
        quarantine_conflict(context.store, str(row.source_key), str(row.image_id), str(row.uri), str(row.label))
    return ledger.assign(reason=ledger["reason"].where(~conflicting, "label_conflict"))


def _count(ledger: pd.DataFrame, manifest: pd.DataFrame, arrived: int, parent: Snapshot | None) -> dict[str, Any]:
    refused = ledger["reason"].dropna()
    before = set(parent.manifest["image_id"]) if parent else set()
    return {
        "seen": len(ledger),
        "arrived": arrived,
        "images": len(manifest),
        "added": len(set(manifest["image_id"]) - before),
        "duplicates": int(ledger["reason"].isna().sum()) - len(manifest),
        "quarantined": len(refused),
        "quarantined_by_reason": dict(sorted(Counter(refused).items())),
    }
