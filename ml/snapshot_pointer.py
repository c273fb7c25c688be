"""The pointer to the newest published snapshot, and the numbers in the ids of snapshots."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ml import layout
from ml.errors import NotFoundError

if TYPE_CHECKING:
    from ml.storage import Store

__all__ = ["number_of", "read_pointer"]


def read_pointer(store: Store) -> tuple[str | None, str | None]:
    """The newest published snapshot, with the etag of the pointer to it; None twice before the first."""
    try:
        data, etag = store.get_with_etag(layout.LATEST_SNAPSHOT)
    except NotFoundError:
        return None, None
    return str(json.loads(data)["snapshot_id"]), etag


def number_of(snapshot_id: str | None) -> int:
    """A snapshot's number: one more than that of its parent; 0 for no snapshot."""
    return int(snapshot_id.split("-")[0]) if snapshot_id else 0
