"""Rows about requests: what the model answered, and measures of the image as ingest takes them."""

from __future__ import annotations

import io
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ml.coarse import coarse_measure, coarse_probabilities
from ml.images import RefusedImageError, inspect_image
from ml.measures import PROPERTIES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from ml.config import ImageSettings

__all__ = ["SCHEMA", "Answer", "RequestRow", "decode_rows", "describe_request", "encode_rows"]

SCHEMA = pa.schema(
    [
        pa.field("at", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("version", pa.int64()),  # null where the protocol does not tell
        pa.field("label", pa.string()),  # that was asked; null where it is not known, or none was
        pa.field("class_id", pa.int64(), nullable=False),
        pa.field("class_name", pa.string(), nullable=False),
        pa.field("probabilities", pa.list_(pa.float32()), nullable=False),
        pa.field("status", pa.string(), nullable=False),
        pa.field("milliseconds", pa.float64(), nullable=False),
        # These are null where arrays were asked about, or bytes that ingest would not take. They and the probabilities
        # are coarse unless images are kept: exact ones are as good as a digest to whoever has the picture.
        pa.field("width", pa.int32()),
        pa.field("height", pa.int32()),
        pa.field("bytes", pa.int64()),
        pa.field("format", pa.string()),
        pa.field("brightness", pa.float64()),
        pa.field("contrast", pa.float64()),
        pa.field("sharpness", pa.float64()),
        # And these unless images are kept: a digest would say that somebody's picture was asked about.
        pa.field("image_id", pa.string()),
        pa.field("pixel_id", pa.string()),
    ]
)


@dataclass(frozen=True)
class Answer:
    """What was answered about one image; ``milliseconds`` are those of the whole request that it came in."""

    at: datetime
    version: int | None
    label: str | None
    class_id: int
    class_name: str
    probabilities: tuple[float, ...]
    status: str
    milliseconds: float


@dataclass(frozen=True)
class RequestRow(Answer):
    """An answer with the image's measures; see :data:`SCHEMA` for what may be None."""

    width: int | None = None
    height: int | None = None
    bytes: int | None = None
    format: str | None = None
    brightness: float | None = None
    contrast: float | None = None
    sharpness: float | None = None
    image_id: str | None = None
    pixel_id: str | None = None


def describe_request(answer: Answer, image: bytes | None, settings: ImageSettings, *, keep: bool = False) -> RequestRow:
    """A row about an answer.

    Args:
        answer: what was answered.
        image: the encoded bytes that were asked about; None for arrays.
        settings: of the images that ingest takes.
        keep: name the image and measure it exactly, because its bytes are kept.
    """
    known = asdict(answer)
    if not keep:
        known["probabilities"] = tuple(coarse_probabilities(answer.probabilities).tolist())
    if image is None:
        return RequestRow(**known)
    try:
        seen = inspect_image(image, settings)
    except RefusedImageError:
        return RequestRow(**known, bytes=len(image) if keep else _coarse("bytes", len(image)))
    measures: dict[str, Any] = {
        "width": seen.width,
        "height": seen.height,
        "bytes": len(image),
        "format": seen.format,
        "brightness": seen.brightness,
        "contrast": seen.contrast,
        "sharpness": seen.sharpness,
    }
    if keep:
        return RequestRow(**known, **measures, image_id=seen.image_id, pixel_id=seen.pixel_id)
    return RequestRow(**known, **measures | {name: _coarse(name, measures[name]) for name in PROPERTIES})


def _coarse(name: str, value: float) -> int:
    return int(coarse_measure(name, [value])[0])


def encode_rows(rows: Sequence[RequestRow]) -> bytes:
    """Rows as parquet."""
    return encode_table(pa.Table.from_pylist([asdict(row) for row in rows], SCHEMA))


def encode_table(table: pa.Table) -> bytes:
    """A table of :data:`SCHEMA` as parquet."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def decode_rows(parts: Sequence[bytes]) -> pd.DataFrame:
    """All rows of some parts, with the columns of :data:`SCHEMA`."""
    tables = [pq.read_table(io.BytesIO(part), schema=SCHEMA) for part in parts]
    return pd.DataFrame(pa.concat_tables([SCHEMA.empty_table(), *tables]).to_pandas())
