"""Task ``list_arrivals``: compare the landing zone with the ledger, and cut what is new into chunks."""

from __future__ import annotations

import hashlib
import logging
from itertools import chain, islice
from typing import TYPE_CHECKING

from ml import layout
from ml.attributes import encode_attributes
from ml.backlog import Seen, arriving, chunks, write_chunk
from ml.errors import ConfigError, DataError, NotFoundError
from ml.labels import Labeller, LabelsFile, read_labels
from ml.manifest import LEDGER, empty
from ml.pseudonyms import Pseudonyms
from ml.releases import pending_releases, released_arrivals
from ml.sightings import Sightings
from ml.snapshots import latest_snapshot
from ml.storage import dump_json, put_once
from ml.tombstones import forgotten_keys

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    import pandas as pd

    from ml.context import Context
    from ml.storage import ObjectInfo

__all__ = ["run"]

log = logging.getLogger(__name__)

#: Airflow maps a task over 1024 values at most; what is beyond waits for the next ingest.
MAX_CHUNKS = 1000


def run(context: Context, ingest_id: str, now: datetime, reason: str = "", by: str = "") -> list[str]:
    """Find what is to be taken in.

    Objects that arrive meanwhile may be among them or wait for the next ingest.

    Args:
        context: settings and store.
        ingest_id: under which the other steps of this ingest find its plan.
        now: when this ingest began, kept as ``ingested_at``.
        reason: what these images are, kept in the snapshot.
        by: who asked for it, likewise.

    Returns:
        The names of the chunks; none when nothing is new.

    Raises:
        DataError: the landing zone is empty and always was, or ``labels.csv`` cannot be read.
        ConfigError: ``landing.delete_after_ingest`` on a store that removes without regard to the condition.
    """
    _check_deletes(context)
    parent = latest_snapshot(context.store)
    ledger = parent.ledger_columns(Seen.COLUMNS) if parent else empty(LEDGER)
    file, labels_etag = _labels(context)
    listing = _Listing(context, file, Sightings(labels_etag))
    labeller, pseudonyms = Labeller(context.settings, file), Pseudonyms.of(context.store)
    releases = pending_releases(context.store, parent.record["releases"] if parent else [])
    arrivals = chain(
        arriving(listing, Seen(ledger), labeller, pseudonyms),
        released_arrivals(releases, labeller),  # last: of two rows for an object the later one counts
    )
    pieces = chunks(arrivals, context.settings.landing.chunk_size)
    names = [write_chunk(context.store, chunk, context.settings.images) for chunk in islice(pieces, MAX_CHUNKS)]
    waiting = next(pieces, [])
    notes = [*file.notes, *listing.notes(ledger, bool(waiting))]
    if parent is None and not names:
        raise DataError(
            f"The landing zone {context.store.uri(layout.LANDING)} is empty.",
            "Upload images as landing/<label>/<file>, or run `make demo` for a phantom set.",
        )
    plan = {
        "started_at": now.isoformat(),
        "chunks": names,
        "notes": notes,
        "reason": reason,
        "asked_by": by,
        "releases": [release["release_id"] for release in releases],
        "attributes": _store_attributes(context, file, ledger),
    }
    context.store.put(layout.ingest_key(ingest_id), dump_json(plan))
    # Last: whoever watches the landing zone starts no other ingest for what this one saw.
    for arrival in waiting:
        listing.sightings.leave(arrival.key, arrival.etag)
    listing.sightings.store(context.store)
    for note in notes:
        log.warning("%s", note)
    log.info("%d objects listed, what is new lies in %d chunks, %d releases", listing.count, len(names), len(releases))
    return names


def _labels(context: Context) -> tuple[LabelsFile, str | None]:
    """What `labels.csv` says, and its etag, None where there is none."""
    try:
        data, etag = context.store.get_with_etag(layout.LANDING + layout.LABELS_FILE)
    except NotFoundError:
        return LabelsFile(), None
    return read_labels(data, context.settings.landing.attributes), etag


def _store_attributes(context: Context, file: LabelsFile, ledger: pd.DataFrame) -> str | None:
    """Keep what labels.csv tells of attributes for `assemble`; returns the key, None when there is nothing."""
    if file.attributes.empty:
        return None
    data = encode_attributes(file.attributes[~file.attributes.index.isin(forgotten_keys(ledger))])
    key = layout.attributes_key(hashlib.sha256(data).hexdigest())
    put_once(context.store, key, data)
    return key


def _check_deletes(context: Context) -> None:
    if context.settings.landing.delete_after_ingest and not context.store.deletes_conditionally():
        raise ConfigError(
            f"landing.delete_after_ingest is set, but {context.store.url} removes an object whatever its version is.",
            "Set it to false: an upload that replaces another during an ingest would be lost.",
        )


class _Listing:
    """The landing zone's objects, noted while they pass; remembers which keys of ``labels.csv`` came by."""

    def __init__(self, context: Context, file: LabelsFile, sightings: Sightings) -> None:
        self._context = context
        self.sightings = sightings
        self._unmet = set(file.labels)
        self.count = 0

    def __iter__(self) -> Iterator[ObjectInfo]:
        for info in self._context.store.list(layout.LANDING):
            self.count += 1
            self.sightings.add(info)
            self._unmet.discard(info.key.removeprefix(layout.LANDING))
            yield info

    def notes(self, ledger: pd.DataFrame, cut: bool) -> list[str]:
        """What is odd about the listing, in sentences."""
        if cut:
            size = self._context.settings.landing.chunk_size
            return [f"more than {MAX_CHUNKS * size} objects are new; the others wait for the next ingest"]
        if self._unmet:
            self._unmet -= set(ledger["source_key"].str.removeprefix(layout.LANDING))
        if not self._unmet:
            return []
        few = ", ".join(sorted(self._unmet)[:5])
        return [f"labels.csv names {len(self._unmet)} key(s) without an object: {few}"]
