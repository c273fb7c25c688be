"""What has arrived and is not in the ledger yet, cut into chunks that can be taken in apart and again.

A chunk is named by what decides its outcome, so that an ingest that is repeated finds what was done already.
"""

from __future__ import annotations

import hashlib
import io
import os
from itertools import islice
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from ml import layout
from ml.arrivals import Arrival
from ml.errors import NotFoundError
from ml.images import RefusedImageError
from ml.labels import LABEL_REASONS
from ml.manifest import LEDGER, encode, from_parquet, in_order
from ml.storage import put_once

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pandas as pd

    from ml.config import ImageSettings
    from ml.labels import Labeller
    from ml.pseudonyms import Pseudonyms
    from ml.storage import ObjectInfo, Store

__all__ = ["Seen", "arriving", "chunks", "read_chunk", "read_rows", "write_chunk", "write_rows"]

#: Part of a chunk's name: another value makes every unfinished chunk be taken in afresh.
RULES = 1
#: Between a key and its etag, which holds no such character.
SEPARATOR = "\0"
CHUNK = pa.schema(
    [
        pa.field("key", pa.binary(), nullable=False),  # not all that a folder lists is text
        pa.field("etag", pa.string(), nullable=False),
        pa.field("bytes", pa.int64(), nullable=False),
        pa.field("last_modified", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("label", pa.string()),
        pa.field("explicit_group", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("detail", pa.string()),
        pa.field("release", pa.string()),
        pa.field("stored_at", pa.string()),
    ]
)


class Seen:
    """Which objects the ledger knows, by key and etag: some 250 bytes each, so that millions fit into memory.

    Args:
        ledger: with at least the columns of :attr:`COLUMNS`.
    """

    COLUMNS = ("source_key", "etag", "label", "reason", "pixel_id", "release")

    def __init__(self, ledger: pd.DataFrame) -> None:
        unlabelled = ledger["reason"].isin(LABEL_REASONS)
        labels = ledger["label"].where(ledger["pixel_id"].notna()).mask(unlabelled, "").mask(ledger["release"].notna())
        one_each = {label: label for label in labels.dropna().unique()}
        identities = ledger["source_key"] + SEPARATOR + ledger["etag"]
        self._labels: dict[str, str | None] = dict(
            zip(identities.tolist(), map(one_each.get, labels.tolist()), strict=True)
        )

    def is_new(self, info: ObjectInfo, label: str | None) -> bool:
        """Whether an object is to be taken in: for the first time, or again for the sake of its label.

        Args:
            info: as listed; another etag is another object.
            label: what settings and ``labels.csv`` make of it today, None when they refuse it. Objects in quarantine
                for their label, and images whose label was corrected, are taken in again.
        """
        identity = f"{layout.printable(info.key)}{SEPARATOR}{info.etag}"
        if identity not in self._labels:
            return True
        known = self._labels[identity]
        return known is not None and label is not None and label != known


def arriving(
    listing: Iterable[ObjectInfo], seen: Seen, labeller: Labeller, pseudonyms: Pseudonyms
) -> Iterator[Arrival]:
    """Pick what is new out of a listing of the landing zone, with its label and group."""
    for info in listing:
        if info.key == layout.LANDING + layout.LABELS_FILE:
            continue
        reason = detail = label = None
        try:
            label = labeller.label(info.key)
        except RefusedImageError as refusal:
            reason, detail = refusal.reason, layout.printable(refusal.detail)
        if not seen.is_new(info, label):
            continue
        group = labeller.group(info.key)
        yield Arrival(
            key=info.key,
            etag=info.etag,
            bytes=info.size,
            last_modified=info.last_modified,
            label=None if label is None else layout.printable(label),
            explicit_group=None if group is None else pseudonyms.name(group),
            reason=reason,
            detail=detail,
        )


def chunks(arrivals: Iterable[Arrival], size: int) -> Iterator[list[Arrival]]:
    """Cut a stream into lists of at most ``size``."""
    remaining = iter(arrivals)
    while chunk := list(islice(remaining, size)):
        yield chunk


def write_chunk(store: Store, arrivals: list[Arrival], settings: ImageSettings) -> str:
    """Store a chunk to be taken in; returns its name."""
    table = pa.Table.from_pylist([vars(one) | {"key": os.fsencode(one.key)} for one in arrivals], schema=CHUNK)
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    data = buffer.getvalue()
    rules = f"{RULES} {settings.model_dump_json()}".encode()
    chunk = hashlib.sha256(rules + b"\0" + data).hexdigest()[:32]
    put_once(store, layout.arrivals_key(chunk, "objects.parquet"), data)
    return chunk


def read_chunk(store: Store, chunk: str) -> list[Arrival]:
    """Read the objects of a chunk."""
    table = pq.read_table(io.BytesIO(store.get(layout.arrivals_key(chunk, "objects.parquet"))))
    return [Arrival(**row | {"key": os.fsdecode(row["key"])}) for row in table.to_pylist()]


def write_rows(store: Store, chunk: str, rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Store what became of a chunk, and return it; what another process stored before stands."""
    key = layout.arrivals_key(chunk, "rows.parquet")
    table = pa.Table.from_pylist(rows, schema=LEDGER.columns)
    put_once(store, key, encode(in_order(table, LEDGER), LEDGER))
    return from_parquet(store.get(key), LEDGER)


def read_rows(store: Store, chunk: str) -> pd.DataFrame | None:
    """Read what became of a chunk, None when it has not been taken in yet."""
    try:
        return from_parquet(store.get(layout.arrivals_key(chunk, "rows.parquet")), LEDGER)
    except NotFoundError:
        return None
