"""From what arrived to a snapshot: conflicts settled, images placed, nothing that was there before lost."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa

from ml import layout
from ml.arrivals import quarantine_conflict
from ml.attributes import (
    LEDGER_COLUMNS,
    describe_disputed,
    differences,
    no_attributes,
    same_attributes,
    settle_attributes,
)
from ml.erasure import erase_object
from ml.errors import DataError
from ml.manifest import LEDGER, to_arrow
from ml.measures import count_arrivals
from ml.snapshots import PLACE, Snapshot, build_manifest, place_images, write_snapshot
from ml.storage import put_in_batches
from ml.threads import map_ahead
from ml.tombstones import FORGOTTEN, forgotten_ids, mark_forgotten

if TYPE_CHECKING:
    from ml.context import Context

__all__ = ["assemble", "join_ledgers", "leave_out", "rebase", "says_more", "settle_conflicts"]

log = logging.getLogger(__name__)

WORKERS = 8
IDENTITY = list(LEDGER.key)


def assemble(
    context: Context,
    parent: Snapshot | None,
    arrived: pd.DataFrame,
    record: dict[str, Any],
    told: pd.DataFrame | None = None,
) -> tuple[str, dict[str, Any]]:
    """Write a snapshot of the parent's objects and those that arrived; nothing points to it yet.

    Args:
        context: settings and store.
        parent: the newest published snapshot.
        arrived: ledger rows, with an empty ``snapshot``; a row whose key and etag the parent has replaces that one.
        record: what ``snapshot.json`` is to say beside the counts: ``created_at``, ``notes``, ``releases``, and
            ``reason`` and ``asked_by`` of the ingest.
        told: what is told of attributes (see :mod:`ml.attributes`).

    Returns:
        The snapshot's id, and its counts.

    Raises:
        DataError: not one of all objects is an acceptable image.
    """
    ledger = _without_forgotten(context, join_ledgers(*([parent.ledger] if parent else []), arrived))
    settled = settle_conflicts(ledger)
    _quarantine(context, settled[(settled["reason"] == "label_conflict") & ledger["reason"].isna()])
    ledger = place_images(settled, context.settings)
    manifest = build_manifest(ledger)
    counts = _count(ledger, manifest, len(arrived), parent)
    if manifest.empty:
        raise DataError(
            f"None of {len(ledger)} objects under {context.store.uri(layout.LANDING)} is an acceptable image: "
            f"{counts['quarantined_by_reason']}.",
            "See the records under quarantine/, then upload images as landing/<label>/<file>.",
        )
    attributes, notes = _attributes(context, parent, manifest, ledger, told)
    said = record | {"notes": [*record["notes"], *notes]}
    return write_snapshot(context.store, parent, manifest, ledger, counts | said, attributes), counts


def says_more(context: Context, parent: Snapshot, told: pd.DataFrame | None) -> bool:
    """Whether what is told of attributes makes more, or anything else, known of a snapshot's images."""
    names = context.settings.landing.attributes
    if not names or told is None:
        return False
    ledger = parent.ledger_columns(LEDGER_COLUMNS)
    attributes, _ = settle_attributes(parent.manifest, ledger, told, parent.attributes, names)
    return not same_attributes(attributes, parent.attributes, names)


def leave_out(context: Context, parent: Snapshot, record: dict[str, Any]) -> str | None:
    """Write a snapshot of the parent's objects without the forgotten pictures; nothing points to it yet.

    The splits and groups of all others stay as they are.

    Args:
        context: settings and store.
        parent: the newest published snapshot.
        record: what ``snapshot.json`` is to say beside the counts and ``releases``: ``created_at`` and ``notes``.

    Returns:
        The new snapshot's id, or None when the parent holds none of them.
    """
    forgotten = forgotten_ids(context.store)
    ledger = mark_forgotten(parent.ledger, forgotten)
    if ledger is parent.ledger:
        return None
    images = parent.manifest
    manifest = images[~(images["image_id"].isin(forgotten) | images["pixel_id"].isin(forgotten))]
    counts = _count(ledger, manifest, 0, parent)
    attributes = parent.attributes[parent.attributes.index.isin(manifest["image_id"])]
    return write_snapshot(
        context.store, parent, manifest, ledger, {**counts, "releases": parent.record["releases"], **record}, attributes
    )


def rebase(context: Context, snapshot: Snapshot, parent: Snapshot) -> str | None:
    """Write an overtaken snapshot again, on the one that was published meanwhile.

    Returns:
        The new snapshot's id, or None when the new parent holds all of it already.
    """
    own = snapshot.ledger[snapshot.ledger["snapshot"] == snapshot.snapshot_id]
    known = pd.MultiIndex.from_frame(parent.ledger[[*IDENTITY, "label", "release"]].fillna(""))
    arrived = own[~pd.MultiIndex.from_frame(own[[*IDENTITY, "label", "release"]].fillna("")).isin(known)]
    told = _told_by(context, snapshot)
    if arrived.empty and not says_more(context, parent, told):
        return None
    fresh = arrived.assign(snapshot="", **dict.fromkeys(PLACE))
    releases = sorted({*parent.record["releases"], *snapshot.record["releases"]})
    said = ("created_at", "notes", "reason", "asked_by")
    kept = {name: snapshot.record[name] for name in said if name in snapshot.record} | {"releases": releases}
    rebased, _ = assemble(context, parent, fresh, kept, told)
    log.info("snapshot %s: rebased on %s as %s", snapshot.snapshot_id, parent.snapshot_id, rebased)
    return rebased


def join_ledgers(*ledgers: pd.DataFrame) -> pd.DataFrame:
    """Put ledgers together; of rows for one version of an object the last one counts.

    It has the group and split that the object had before: one that is taken in again with another label stays there.
    """
    # By Arrow: pandas would lose the types of columns that are empty in one of them.
    tables = [to_arrow(one, LEDGER) for one in ledgers]
    joined = pd.DataFrame(pa.concat_tables(tables).cast(LEDGER.columns).to_pandas())
    replaced = joined.duplicated(IDENTITY, keep="last")
    if not replaced.any():
        return joined
    again = joined[joined.duplicated(IDENTITY, keep=False)]
    joined.loc[again.index, PLACE] = again.groupby(IDENTITY, sort=False)[PLACE].transform("first")
    return joined[~replaced].reset_index(drop=True)


def settle_conflicts(ledger: pd.DataFrame) -> pd.DataFrame:
    """Refuse every object whose pixels came under more than one label, unless a release said which is right.

    Nobody knows which label is right, so all are refused. When the labels agree again, because ``labels.csv`` or an
    alias corrected them, all are accepted. Of several releases the latest counts.
    """
    disputed = ledger["pixel_id"].notna() & (ledger["reason"].isna() | (ledger["reason"] == "label_conflict"))
    rows = ledger[disputed]
    rows = rows[rows["pixel_id"].duplicated(keep=False)]
    labels = rows.groupby("pixel_id")["label"].nunique()
    released = rows[rows["release"].notna()].sort_values("release", kind="stable")
    right = released.drop_duplicates("pixel_id", keep="last").set_index("pixel_id")["label"]
    refused = rows["pixel_id"].isin(labels.index[labels > 1]) & (rows["label"] != rows["pixel_id"].map(right))
    reason = ledger["reason"].astype(object)
    reason[disputed] = None
    reason[refused.index[refused]] = "label_conflict"
    return ledger.assign(reason=reason)


def _attributes(
    context: Context, parent: Snapshot | None, manifest: pd.DataFrame, ledger: pd.DataFrame, told: pd.DataFrame | None
) -> tuple[pd.DataFrame | None, list[str]]:
    """The images' attributes, None where none are to be kept, and what is odd about them, in sentences."""
    names = context.settings.landing.attributes
    if not names:
        return None, []
    known = parent.attributes if parent else no_attributes()
    attributes, disputed = settle_attributes(manifest, ledger, told, known, names)
    notes = describe_disputed(disputed)
    for note in notes:
        log.warning("%s", note)
    log.info("%s: something is known of %d images of %d", ", ".join(names), len(attributes), len(manifest))
    return attributes, notes


def _told_by(context: Context, snapshot: Snapshot) -> pd.DataFrame | None:
    """What an ingest told of attributes, by what its snapshot says otherwise than the one it grew from.

    Nothing else may go on top of another ingest, which may have read a newer ``labels.csv``.
    """
    if not context.settings.landing.attributes:
        return None
    base = snapshot.record["parent"]
    return differences(snapshot.attributes, Snapshot(context.store, base).attributes if base else no_attributes())


def _without_forgotten(context: Context, ledger: pd.DataFrame) -> pd.DataFrame:
    """Mark forgotten pictures that were taken in before they were forgotten, and remove what was stored of them."""
    marked = mark_forgotten(ledger, forgotten_ids(context.store))
    for row in ledger[(marked["reason"] == FORGOTTEN) & (ledger["reason"] != FORGOTTEN)].to_dict("records"):
        erase_object(context.store, row)
    return marked


def _quarantine(context: Context, rows: pd.DataFrame) -> None:
    records = rows.to_dict("records")
    conflicts = map_ahead(lambda row: quarantine_conflict(context.store, row), records, WORKERS, "quarantine")
    put_in_batches(context.store, conflicts)


def _count(ledger: pd.DataFrame, manifest: pd.DataFrame, arrived: int, parent: Snapshot | None) -> dict[str, Any]:
    overall = count_arrivals(ledger, manifest)
    accepted = parent.ledger[parent.ledger["reason"].isna()] if parent else ledger.iloc[:0]
    before = pd.Index(accepted["pixel_id"].unique())
    return {
        "seen": overall.objects,
        "arrived": arrived,
        "images": overall.images,
        "added": int((before.get_indexer(pd.Index(manifest["pixel_id"])) < 0).sum()),
        "duplicates": overall.duplicates,
        "excluded": overall.excluded,
        "quarantined": overall.refused,
        "quarantined_by_reason": overall.quarantined,
    }
