"""Predictions as a table: one row an image, one column a class."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from ml.storage.base import replacing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from serving.batch import Row, Target

__all__ = ["as_record", "prediction_schema", "prediction_table", "writing_predictions"]

#: Rows that are written together.
CHUNK_ROWS = 1000


def prediction_schema(target: Target, metadata: Mapping[str, str] | None = None) -> pa.Schema:
    """The columns.

    ``file`` and ``status`` always have a value, ``model`` and ``version`` say who was asked. ``class_name``,
    ``class_id`` int64, ``probability`` float32 of that class, and ``p_<label>`` float32 for each class are null where
    ``status`` is not "OK".
    """
    answer = [("class_name", pa.string()), ("class_id", pa.int64()), ("probability", pa.float32())]
    fields = [
        pa.field("file", pa.string(), nullable=False),
        *(pa.field(name, kind) for name, kind in answer),
        *(pa.field(f"p_{label}", pa.float32()) for label in target.classes),
        pa.field("status", pa.string(), nullable=False),
        pa.field("version", pa.int64(), nullable=False),
        pa.field("model", pa.string(), nullable=False),
    ]
    return pa.schema(fields, metadata)


def prediction_table(
    rows: Sequence[Row], target: Target, model_name: str, metadata: Mapping[str, str] | None = None
) -> pa.Table:
    """Rows as a table of :func:`prediction_schema`."""
    schema = prediction_schema(target, metadata)
    columns: dict[str, list[Any]] = {name: [] for name in schema.names}
    for row in rows:
        record = as_record(row, target, model_name)
        chances = record.pop("probabilities") or {}
        for name, value in record.items():
            columns[name].append(value)
        for label in target.classes:
            columns[f"p_{label}"].append(chances.get(label))
    return pa.table(columns, schema=schema)


def as_record(row: Row, target: Target, model_name: str) -> dict[str, Any]:
    """A row by the names of its columns; ``probabilities`` by label, None as the other answers unless it is fine."""
    answer = row.prediction
    return {
        "file": row.name,
        "class_name": answer and answer.class_name,
        "class_id": None if answer is None else answer.class_id,
        "probability": answer and answer.probability,
        "probabilities": answer and dict(zip(target.classes, answer.probabilities, strict=True)),
        "status": row.status,
        "version": target.version,
        "model": model_name,
    }


@contextmanager
def writing_predictions(path: Path, target: Target, model_name: str) -> Iterator[Callable[[Row], None]]:
    """Give what takes rows for a parquet file, which appears whole when the block ends without an error."""
    waiting: list[Row] = []
    with replacing(path) as temporary, pq.ParquetWriter(temporary, prediction_schema(target)) as writer:

        def flush() -> None:
            writer.write_table(prediction_table(waiting, target, model_name))
            waiting.clear()

        def add(row: Row) -> None:
            waiting.append(row)
            if len(waiting) == CHUNK_ROWS:
                flush()

        yield add
        if waiting:
            flush()
