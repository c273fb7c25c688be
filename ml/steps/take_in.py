"""Task ``take_in``: bring the objects of one chunk into the content-addressed store, or into quarantine."""

from __future__ import annotations

import logging
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ml import layout
from ml.arrivals import take_object
from ml.backlog import read_chunk, read_rows, write_rows
from ml.pseudonyms import Pseudonyms
from ml.storage import put_in_batches, read_json
from ml.threads import map_ahead

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ml.arrivals import Arrival
    from ml.context import Context

__all__ = ["run"]

log = logging.getLogger(__name__)

#: Threads that wait for the store and decode: memory holds three images for each, whatever the size of the chunk.
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
        rows = write_rows(context.store, chunk, _take(context, ingest_id, arrivals))
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


def _take(context: Context, ingest_id: str, arrivals: list[Arrival]) -> list[dict[str, Any]]:
    now = datetime.fromisoformat(read_json(context.store, layout.ingest_key(ingest_id))["started_at"])
    pseudonyms = Pseudonyms.of(context.store)
    rows = []

    def objects() -> Iterator[dict[str, bytes]]:
        for taken in map_ahead(lambda one: take_object(context, one, pseudonyms, now), arrivals, WORKERS, "ingest"):
            if taken is not None:
                rows.append(taken.row)
                yield taken.objects

    put_in_batches(context.store, objects())
    return rows
