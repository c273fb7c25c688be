"""The two tables of a snapshot: the ledger (one row an object seen) and the manifest (one row an image)."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.csv import write_csv

from ml.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ml.config import Settings

__all__ = [
    "LEDGER",
    "MANIFEST",
    "TableSchema",
    "classes_of",
    "empty",
    "encode",
    "from_parquet",
    "in_order",
    "snapshot_digest",
    "to_arrow",
]

_TIME = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True)
class TableSchema:
    """A table's name, columns and key, declared once; ``repeating`` columns have few different values."""

    name: str
    columns: pa.Schema
    key: tuple[str, ...]
    repeating: tuple[str, ...]


LEDGER = TableSchema(
    "ledger",
    pa.schema(
        [
            pa.field("source_key", pa.string(), nullable=False),
            pa.field("etag", pa.string(), nullable=False),
            pa.field("last_modified", _TIME, nullable=False),
            pa.field("bytes", pa.int64(), nullable=False),
            pa.field("label", pa.string()),
            pa.field("reason", pa.string()),  # of quarantine; null for an accepted object
            pa.field("image_id", pa.string()),  # SHA-256 of the bytes
            pa.field("pixel_id", pa.string()),  # SHA-256 of the decoded RGB pixels; null if it can't be decoded
            pa.field("uri", pa.string()),  # what training reads
            pa.field("explicit_group", pa.string()),  # from labels.csv or the file's patient, as a keyed hash
            pa.field("group", pa.string()),  # grows, and may become one with another of its split
            pa.field("split", pa.string()),  # this and the next are the image's for ever, in quarantine or not
            pa.field("excluded", pa.string()),  # why the image is in no split
            pa.field("width", pa.int32()),
            pa.field("height", pa.int32()),
            pa.field("channels", pa.int32()),
            pa.field("format", pa.string()),
            pa.field("perceptual_hash", pa.string()),
            pa.field("brightness", pa.float64()),
            pa.field("contrast", pa.float64()),
            pa.field("sharpness", pa.float64()),
            pa.field("ingested_at", _TIME, nullable=False),
            pa.field("snapshot", pa.string(), nullable=False),  # in which the object arrived
            pa.field("release", pa.string()),  # the release that took it out of quarantine
        ]
    ),
    ("source_key", "etag"),
    ("label", "reason", "split", "excluded", "width", "height", "channels", "format", "snapshot", "release"),
)

MANIFEST = TableSchema(
    "manifest",
    pa.schema(
        [
            pa.field("image_id", pa.string(), nullable=False),
            pa.field("pixel_id", pa.string(), nullable=False),
            pa.field("uri", pa.string(), nullable=False),
            pa.field("source_key", pa.string(), nullable=False),
            pa.field("label", pa.string(), nullable=False),
            pa.field("group", pa.string(), nullable=False),
            pa.field("split", pa.string(), nullable=False),
            pa.field("excluded", pa.string()),  # why the image is in no split
            pa.field("width", pa.int32(), nullable=False),
            pa.field("height", pa.int32(), nullable=False),
            pa.field("channels", pa.int32(), nullable=False),
            pa.field("bytes", pa.int64(), nullable=False),
            pa.field("format", pa.string(), nullable=False),
            pa.field("perceptual_hash", pa.string(), nullable=False),
            pa.field("brightness", pa.float64(), nullable=False),
            pa.field("contrast", pa.float64(), nullable=False),
            pa.field("sharpness", pa.float64(), nullable=False),
            pa.field("ingested_at", _TIME, nullable=False),
            pa.field("snapshot", pa.string(), nullable=False),
        ]
    ),
    ("image_id",),
    ("label", "split", "excluded", "width", "height", "channels", "format", "snapshot"),
)


def classes_of(manifest: pd.DataFrame, settings: Settings) -> tuple[str, ...]:
    """The labels in the order of the model's outputs: declared, or those found, sorted."""
    return tuple(sorted(manifest["label"].unique())) if settings.classes == "discover" else tuple(settings.classes)


def empty(schema: TableSchema) -> pd.DataFrame:
    """A table without rows."""
    return pd.DataFrame(schema.columns.empty_table().to_pandas())


def to_arrow(frame: pd.DataFrame, schema: TableSchema) -> pa.Table:
    """Give a table the columns and types of its schema.

    Raises:
        DataError: a column is missing or unknown, or a value does not fit its type.
    """
    odd = sorted(set(frame.columns) ^ set(schema.columns.names))
    if odd:
        raise DataError(f"The {schema.name} has missing or unknown columns: {', '.join(odd)}.")
    # pyarrow reads times with a zone in a way that pandas deprecates, unless they are its own already.
    times = [field.name for field in schema.columns if field.type == _TIME]
    try:
        timed = frame.assign(**{name: frame[name].astype(pd.ArrowDtype(_TIME)) for name in times})
        return pa.Table.from_pandas(timed, schema=schema.columns, preserve_index=False)
    except (TypeError, ValueError) as error:  # Arrow's own are among these
        raise DataError(f"The {schema.name} does not fit its schema: {error}") from error


def in_order(table: pa.Table, schema: TableSchema) -> pa.Table:
    """Sort a table by its key."""
    return table.sort_by([(name, "ascending") for name in schema.key])


def encode(table: pa.Table, schema: TableSchema) -> bytes:
    """Encode a table that has the columns, types and order of its schema already: equal ones give equal bytes."""
    buffer = io.BytesIO()
    # Looking for values that repeat where none do takes longer than all the rest, and the file gets no smaller; the
    # smallest and largest of digests help nobody to skip a part of it.
    few = list(schema.repeating)
    pq.write_table(table, buffer, compression="zstd", use_dictionary=few, write_statistics=few)
    return buffer.getvalue()


def from_parquet(data: bytes, schema: TableSchema, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Decode a table, or some of its columns.

    Raises:
        DataError: the columns are not the schema's.
    """
    file = pq.ParquetFile(io.BytesIO(data))
    if file.schema_arrow.names != schema.columns.names:
        raise DataError(
            f"The stored {schema.name} has the columns {', '.join(file.schema_arrow.names)}.",
            "It was written by another version of Quartet.",
        )
    names = schema.columns.names if columns is None else list(columns)
    types = pa.schema([schema.columns.field(name) for name in names])
    return pd.DataFrame(file.read(names).cast(types).to_pandas())


def snapshot_digest(manifest: pa.Table, ledger: pa.Table, attributes: pa.Table | None = None) -> str:
    """SHA-256 (hexadecimal) of what a snapshot says, whenever it was made: its images and the objects seen.

    Args:
        manifest: in the order of its key.
        ledger: likewise.
        attributes: of the images, in the order of their ids; None where nothing is known.
    """
    digest = hashlib.sha256()
    for table, names in (
        (manifest, ["image_id", "label", "group", "split", "excluded"]),
        (ledger, ["source_key", "etag", "label", "reason", "release"]),
        *([] if attributes is None else [(attributes, attributes.schema.names)]),
    ):
        text = io.BytesIO()
        write_csv(table.select(names), text)
        digest.update(text.getbuffer())
    return digest.hexdigest()
