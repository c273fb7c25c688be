"""Looking into quarantine: what the newest snapshot's ledger refuses, and what is kept of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ml import layout
from ml.errors import DataError
from ml.snapshots import latest_snapshot
from ml.storage import find_json, read_json
from ml.tombstones import FORGOTTEN, read_tombstone

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    import pandas as pd

    from ml.storage import Store

__all__ = ["QuarantinedObject", "find_refused", "refused_objects", "show_refused"]

#: Digits of a SHA-256 that are enough to name an object.
MIN_DIGITS = 6


class QuarantinedObject(NamedTuple):
    """One refused object: its ledger row in short, the record's words, and where its bytes are."""

    source_key: str
    reason: str
    detail: str
    sha256: str
    bytes: int
    quarantined_at: str
    uri: str


def refused_objects(store: Store, reason: str | None = None) -> pd.DataFrame:
    """Ledger rows of the objects in quarantine, by key.

    Args:
        store: holds the snapshots.
        reason: only those that are refused for it.

    Raises:
        DataError: nothing has been published yet, or no object is refused for the reason.
    """
    snapshot = latest_snapshot(store)
    if snapshot is None:
        raise DataError("There is no published snapshot.", "Run `quartet ingest`.")
    refused = snapshot.ledger[snapshot.ledger["reason"].notna()].sort_values("source_key")
    if reason is None:
        return refused
    chosen = refused[refused["reason"] == reason]
    if chosen.empty:
        known = ", ".join(sorted(refused["reason"].unique())) or "none"
        raise DataError(f"No object is in quarantine for '{reason}'.", f"Reasons there are: {known}.")
    return chosen


def find_refused(refused: pd.DataFrame, name: str) -> pd.DataFrame:
    """The rows that a name means: a source key, with or without ``landing/``, or the first digits of a SHA-256.

    Raises:
        DataError: it means none, or objects of different content.
    """
    keys = {name, layout.LANDING + name}
    by_key = refused[refused["source_key"].isin(keys)]
    if not by_key.empty:
        return by_key
    by_digest = refused[refused["image_id"].str.startswith(name)] if len(name) >= MIN_DIGITS else refused[:0]
    digests = sorted(by_digest["image_id"].unique())
    if len(digests) > 1:
        raise DataError(f"'{name}' begins {len(digests)} objects: {', '.join(digests[:5])}.", "Give more digits.")
    if not digests:
        raise DataError(
            f"Nothing in quarantine is called '{name}'.",
            f"Give a key or {MIN_DIGITS} or more digits of a SHA-256, as `quartet quarantine list` shows them.",
        )
    return by_digest


def show_refused(store: Store, row: Mapping[Hashable, Any]) -> QuarantinedObject:
    """What is known of one refused object, given its ledger row; a forgotten one's bytes are nowhere."""
    if row["reason"] == FORGOTTEN:
        return _show_forgotten(store, row)
    object_key, record_key = layout.quarantine_keys(row["reason"], row["image_id"], row["source_key"])
    record = read_json(store, record_key)
    return QuarantinedObject(
        source_key=row["source_key"],
        reason=row["reason"],
        detail=record["detail"],
        sha256=row["image_id"],
        bytes=int(row["bytes"]),
        quarantined_at=record["quarantined_at"],
        uri=_where(store, object_key),
    )


def _where(store: Store, object_key: str) -> str:
    if store.head(object_key) is not None:
        return store.uri(object_key)
    removed = find_json(store, object_key.removesuffix("object") + layout.BYTES_REMOVED)
    return f"removed by retention on {removed['removed_at'][:10]}" if removed else "gone: nobody knows why"


def _show_forgotten(store: Store, row: Mapping[Hashable, Any]) -> QuarantinedObject:
    digests = [digest for digest in (row["image_id"], row["pixel_id"]) if isinstance(digest, str)]
    record = read_tombstone(store, digests)
    return QuarantinedObject(
        source_key=row["source_key"],
        reason=FORGOTTEN,
        detail=record["note"] if record else "there is no tombstone any more",
        sha256=row["image_id"],
        bytes=int(row["bytes"]),
        quarantined_at=record["forgotten_at"] if record else "",
        uri="nothing is kept",
    )
