"""Releases from quarantine: somebody decides to take objects in after all, and the next ingest does it."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ml import layout
from ml.arrivals import Arrival
from ml.errors import ConfigError, DataError
from ml.images import RefusedImageError
from ml.labels import LABEL_REASONS
from ml.snapshots import latest_snapshot
from ml.storage import dump_json, put_once, read_json
from ml.threads import map_ahead
from ml.tombstones import FORGOTTEN

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator, Mapping

    import pandas as pd

    from ml.labels import Labeller
    from ml.storage import Store

__all__ = ["pending_objects", "pending_releases", "release_objects", "released_arrivals"]

WORKERS = 8


def release_objects(
    store: Store, refused: pd.DataFrame, labeller: Labeller, label: str | None, note: str, by: str, now: datetime
) -> str:
    """Write down that objects leave quarantine; the next ingest looks at their bytes again, by the rules of that day.

    Args:
        store: where the record goes.
        refused: ledger rows of the objects, at least one.
        labeller: knows which labels there are.
        label: theirs from now on; without one, what their folder or ``labels.csv`` says by then.
        note: why.
        by: who decides.
        now: when.

    Returns:
        The release's id. Ids sort by time.

    Raises:
        ConfigError: the label is none of the declared ones.
        DataError: a label is needed to settle a conflict, and none is given; or an object was forgotten, or its bytes
            were removed.
    """
    gone = refused[refused["reason"] == FORGOTTEN]
    if not gone.empty:
        raise DataError(
            f"{gone.iloc[0]['source_key']} was forgotten: there are no bytes to look at again.",
            "Name the others; docs/forget.md says how a forgotten picture comes back.",
        )
    if label is not None:
        try:
            label = labeller.resolve(label)
        except RefusedImageError as refusal:
            raise ConfigError(f"There is no label: {refusal.detail}.", "Declare it under `classes`.") from refusal
    elif refused["reason"].isin({"label_conflict"} | LABEL_REASONS).any():
        one = refused[refused["reason"].isin({"label_conflict"} | LABEL_REASONS)].iloc[0]
        raise DataError(
            f"{one['source_key']} is in quarantine for its label ({one['reason']}).", "Say the right one: --label."
        )
    _require_bytes(store, refused.to_dict("records"))
    record: dict[str, Any] = {
        "released_at": now.isoformat(),
        "by": by,
        "note": note,
        "label": label,
        "objects": [_object(row) for row in refused.to_dict("records")],
    }
    digest = hashlib.sha256(dump_json(record)).hexdigest()[:12]
    release_id = f"{now:%Y%m%dT%H%M%S%f}-{digest}"
    put_once(store, layout.release_key(release_id), dump_json(record | {"release_id": release_id}))
    return release_id


def pending_releases(store: Store, done: Iterable[str]) -> list[dict[str, Any]]:
    """The releases that no published snapshot has carried out, the oldest first."""
    carried_out = {layout.release_key(release_id) for release_id in done}
    return [read_json(store, info.key) for info in store.list(layout.RELEASES) if info.key not in carried_out]


def pending_objects(store: Store) -> frozenset[str]:
    """Keys under quarantine of what the next ingest looks at again."""
    latest = latest_snapshot(store)
    releases = pending_releases(store, latest.record["releases"] if latest else ())
    return frozenset(_stored_at(one) for release in releases for one in release["objects"])


def released_arrivals(releases: Iterable[dict[str, Any]], labeller: Labeller) -> Iterator[Arrival]:
    """The objects of releases, to be read from quarantine."""
    for release in releases:
        for one in release["objects"]:
            label, reason, detail = release["label"], None, None
            if label is None:
                try:
                    label = labeller.label(one["source_key"])
                except RefusedImageError as refusal:
                    reason, detail = refusal.reason, refusal.detail
            yield Arrival(
                key=one["source_key"],
                etag=one["etag"],
                bytes=one["bytes"],
                last_modified=datetime.fromisoformat(one["last_modified"]),
                label=label,
                explicit_group=one["explicit_group"],
                reason=reason,
                detail=detail,
                release=release["release_id"],
                stored_at=_stored_at(one),
            )


def _stored_at(one: Mapping[str, Any]) -> str:
    return layout.quarantine_keys(one["reason"], one["sha256"], one["source_key"])[0]


def _require_bytes(store: Store, rows: Iterable[Mapping[Hashable, Any]]) -> None:
    """Whether there is something to look at again.

    Raises:
        DataError: an object's bytes were removed because their time was up, or are gone.
    """
    keys = {layout.quarantine_keys(row["reason"], row["image_id"], row["source_key"])[0]: row for row in rows}
    heads = map_ahead(store.head, keys, WORKERS, "releases")
    for row, head in zip(keys.values(), heads, strict=True):
        if head is None:
            raise DataError(
                f"The bytes of {row['source_key']} are not in quarantine any more (`retention.quarantine_days`).",
                "Upload it again under another key, or release the others only.",
            )


def _object(row: Mapping[Hashable, Any]) -> dict[str, Any]:
    group = row["explicit_group"]
    return {
        "source_key": row["source_key"],
        "etag": row["etag"],
        "reason": row["reason"],
        "explicit_group": group if isinstance(group, str) else None,
        "bytes": int(row["bytes"]),
        "sha256": row["image_id"],
        "last_modified": row["last_modified"].isoformat(),
    }
