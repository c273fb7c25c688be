"""Tombstones: digests of forgotten pictures, so that nothing takes them in or trains on them again."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

from ml import layout
from ml.errors import NotFoundError
from ml.storage import dump_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from collections.abc import Set as AbstractSet

    import pandas as pd

    from ml.storage import Store

__all__ = [
    "FORGOTTEN",
    "KEPT",
    "drop_forgotten",
    "forgotten_ids",
    "forgotten_keys",
    "mark_forgotten",
    "read_tombstone",
    "write_tombstones",
]

log = logging.getLogger(__name__)

#: The reason of an object in the ledger whose picture was forgotten.
FORGOTTEN = "forgotten"
#: What the ledger still says of such an object: that it was seen, and what nobody can make a picture of.
KEPT = frozenset(
    {
        "source_key",
        "etag",
        "last_modified",
        "bytes",
        "reason",
        "image_id",
        "pixel_id",
        "ingested_at",
        "snapshot",
    }
)


def forgotten_ids(store: Store) -> frozenset[str]:
    """SHA-256 digests of the bytes and of the pixels of all forgotten pictures: one listing, nothing is read."""
    keys = (info.key for info in store.list(layout.FORGOTTEN))
    return frozenset(key.removeprefix(layout.FORGOTTEN).removesuffix(".json") for key in keys)


def read_tombstone(store: Store, digests: Iterable[str | None]) -> dict[str, Any] | None:
    """The record of a forgotten picture, given its digests; None when none of them has a tombstone."""
    for digest in filter(None, digests):
        try:
            return dict(json.loads(store.get(layout.tombstone_key(digest))))
        except NotFoundError:
            continue
    return None


def write_tombstones(store: Store, record: Mapping[str, Any]) -> None:
    """Write a picture's record under each of its digests.

    Args:
        store: where they go.
        record: with ``image_ids`` and ``pixel_id``, which may be None.
    """
    data = dump_json(record)
    for digest in filter(None, [*record["image_ids"], record["pixel_id"]]):
        store.put(layout.tombstone_key(digest), data)


def mark_forgotten(ledger: pd.DataFrame, ids: AbstractSet[str]) -> pd.DataFrame:
    """Refuse every object that holds a forgotten picture, and keep of its row what :data:`KEPT` names.

    Args:
        ledger: with the columns of :data:`ml.manifest.LEDGER`.
        ids: of :func:`forgotten_ids`.

    Returns:
        The very same table when it names none of them, or none that is not marked yet.
    """
    if not ids:
        return ledger
    held = ledger["image_id"].isin(ids) | ledger["pixel_id"].isin(ids)
    gone = held & (ledger["reason"] != FORGOTTEN)
    if not gone.any():
        return ledger
    cleared = {name: ledger[name].mask(gone) for name in ledger.columns if name not in KEPT}
    return ledger.assign(**cleared, reason=ledger["reason"].astype(object).mask(gone, FORGOTTEN))


def forgotten_keys(ledger: pd.DataFrame) -> pd.Series:
    """Source keys under which nothing but forgotten pictures ever came, given the columns source_key and reason."""
    gone = ledger["reason"] == FORGOTTEN
    keys = ledger["source_key"][gone]
    return keys[~keys.isin(ledger["source_key"][~gone])] if len(keys) else keys


def drop_forgotten(store: Store, table: pd.DataFrame, whose: str) -> pd.DataFrame:
    """Leave out the rows of forgotten images, and log how many they are.

    What was written before an image was forgotten still names it, and its bytes are gone.

    Args:
        store: holds the tombstones.
        table: with a column image_id.
        whose: names the table in the log.
    """
    gone = table["image_id"].isin(forgotten_ids(store))
    if not gone.any():
        return table
    log.warning("%s names %d image(s) that were forgotten since; they are left out", whose, int(gone.sum()))
    return table[~gone].reset_index(drop=True)
