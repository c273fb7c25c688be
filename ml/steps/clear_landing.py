"""Task ``clear_landing``: remove from the landing zone what the published ledger holds, if the settings ask for it."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from ml import layout
from ml.errors import ConflictError
from ml.snapshots import latest_snapshot

if TYPE_CHECKING:
    from ml.context import Context
    from ml.storage import ObjectInfo

__all__ = ["run"]

log = logging.getLogger(__name__)

WORKERS = 8


def run(context: Context) -> dict[str, Any]:
    """Remove exactly the versions that were taken in or quarantined; ``labels.csv`` and what is newer stays.

    Returns:
        ``removed``, and ``kept``: versions that were replaced while this step looked at them.
    """
    snapshot = latest_snapshot(context.store)
    if not context.settings.landing.delete_after_ingest or snapshot is None:
        return {"removed": 0, "kept": 0}
    known = set(zip(snapshot.ledger["source_key"], snapshot.ledger["etag"], strict=True))
    done = (info for info in context.store.list(layout.LANDING) if (layout.printable(info.key), info.etag) in known)
    with ThreadPoolExecutor(WORKERS, thread_name_prefix="clear") as pool:
        outcome = list(pool.map(lambda info: _remove(context, info), done))
    log.info("landing zone: %d objects removed, %d replaced meanwhile and kept", sum(outcome), outcome.count(False))
    return {"removed": sum(outcome), "kept": outcome.count(False)}


def _remove(context: Context, info: ObjectInfo) -> bool:
    try:
        context.store.delete_if_match(info.key, info.etag)
    except ConflictError:
        return False
    return True
