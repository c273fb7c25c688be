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
from ml.tombstones import forgotten_ids

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ml.arrivals import Arrival, Taken
    from ml.context import Context

__all__ = ["run"]

log = logging.getLogger(__name__)

#: Threads that wait for the store and decode, and how much each of them is handed at once: memory holds three times
#: that for each, or three images that are larger, whatever the size of the chunk.
WORKERS = 8
GROUP_BYTES = 2**17


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
    pseudonyms, forgotten = Pseudonyms.of(context.store), forgotten_ids(context.store)
    rows = []

    def take(group: list[Arrival]) -> list[Taken | None]:
        return [take_object(context, one, pseudonyms, now, forgotten) for one in group]

    def objects() -> Iterator[dict[str, bytes]]:
        for group in map_ahead(take, _groups(arrivals), WORKERS, "ingest"):
            for taken in group:
                if taken is not None:
                    rows.append(taken.row)
                    yield taken.objects

    put_in_batches(context.store, objects())
    return rows


def _groups(arrivals: list[Arrival]) -> Iterator[list[Arrival]]:
    """Small objects together: a thread is handed one after the other in a tenth of the time that reading one takes."""
    longest = max(1, len(arrivals) // (4 * WORKERS))  # of few objects every thread gets some
    group: list[Arrival] = []
    waiting = 0
    for one in arrivals:
        group.append(one)
        waiting += one.bytes
        if waiting >= GROUP_BYTES or len(group) == longest:
            yield group
            group, waiting = [], 0
    if group:
        yield group
