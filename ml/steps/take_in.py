"""Task ``take_in``: bring the objects of one chunk into the content-addressed store, or into quarantine."""

from __future__ import annotations

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ml import layout
from ml.arrivals import take_object
from ml.backlog import read_chunk, read_rows, write_rows
from ml.pseudonyms import Pseudonyms
from ml.storage import read_json

if TYPE_CHECKING:
    from ml.context import Context

__all__ = ["run"]

log = logging.getLogger(__name__)

#: Threads that wait for the store and decode: memory holds this many images, whatever the size of the chunk.
WORKERS = 8


def run(context: Context, ingest_id: str, chunk: str) -> dict[str, Any]:
    """Take in what the chunk names; what an earlier try finished is not read again.

    Returns:
        ``chunk``, and the numbers of ``accepted``, ``quarantined`` and ``vanished`` objects.
    """
    started = time.monotonic()
    arrivals = read_chunk(context.store, chunk)
    rows = read_rows(context.store, chunk)
    if rows is None:
        now = datetime.fromisoformat(read_json(context.store, layout.ingest_key(ingest_id))["started_at"])
        pseudonyms = Pseudonyms.of(context.store)
        with ThreadPoolExecutor(WORKERS, thread_name_prefix="ingest") as pool:
            taken = pool.map(lambda arrival: take_object(context, arrival, pseudonyms, now), arrivals)
            rows = write_rows(context.store, chunk, [row for row in taken if row is not None])
    refused = int(rows["reason"].notna().sum())
    log.info(
        "chunk %s: %d objects, %d accepted, %d quarantined, %d vanished, in %.1f s",
        chunk,
        len(arrivals),
        len(rows) - refused,
        refused,
        len(arrivals) - len(rows),
        time.monotonic() - started,
    )
    return {
        "chunk": chunk,
        "accepted": len(rows) - refused,
        "quarantined": refused,
        "vanished": len(arrivals) - len(rows),
    }
