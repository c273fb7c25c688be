"""Attributes: what further columns of ``labels.csv`` say of images, e.g. the site or the scanner.

All tables here have a column of text for each attribute. What is **told** goes by source key or image id: an empty text
says that the attribute is unknown, null says nothing, and an index may repeat. What is **known** goes by image id, null
where it is unknown.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "IMAGE",
    "KEY",
    "LEDGER_COLUMNS",
    "attributes_to_arrow",
    "decode_attributes",
    "describe_disputed",
    "differences",
    "encode_attributes",
    "newest_rows",
    "no_attributes",
    "same_attributes",
    "settle_attributes",
]

#: Names of the index: of a table that goes by source key, and of one that goes by image id.
KEY, IMAGE = "key", "image_id"
#: What :func:`settle_attributes` reads of a ledger.
LEDGER_COLUMNS = ("source_key", "etag", "reason", "image_id", "pixel_id", "ingested_at")


def no_attributes() -> pd.DataFrame:
    """What is known of images where nothing is: no rows, no columns."""
    return pd.DataFrame(index=pd.Index([], name=IMAGE, dtype="str"))


def attributes_to_arrow(table: pd.DataFrame) -> pa.Table:
    """The index and the columns, all as text."""
    columns = table.reset_index()
    return pa.table({name: pa.array(columns[name], pa.string()) for name in columns})


def encode_attributes(table: pd.DataFrame) -> bytes:
    """Encode a table of attributes as Parquet: equal ones give equal bytes."""
    buffer = io.BytesIO()
    names = list(table.columns)
    pq.write_table(attributes_to_arrow(table), buffer, compression="zstd", use_dictionary=names, write_statistics=names)
    return buffer.getvalue()


def decode_attributes(data: bytes) -> pd.DataFrame:
    """Decode what :func:`encode_attributes` encoded."""
    table = pd.DataFrame(pq.read_table(io.BytesIO(data)).to_pandas()).astype("str")
    return table.set_index(table.columns[0])


def settle_attributes(
    manifest: pd.DataFrame, ledger: pd.DataFrame, told: pd.DataFrame | None, known: pd.DataFrame, names: Sequence[str]
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Give images their attributes: by what is told of their objects now, else by what was known.

    A key speaks for the version that came last under it, if that is accepted. What the keys of an image are told must
    be one and the same; an empty text does not contradict another one.

    Args:
        manifest: with the columns image_id and pixel_id.
        ledger: of the same images, with :data:`LEDGER_COLUMNS`.
        told: by key or by image id.
        known: of the parent.
        names: of the attributes.

    Returns:
        What is known now, in the order of the ids, of those images of which something is; and of how many images
        each attribute is told differently, and therefore unknown, where there are any.
    """
    count = len(manifest)
    told = no_attributes() if told is None else told
    told_rows, known_rows = _rows_of(told.index, manifest, ledger), _rows_of(known.index, manifest, ledger)
    columns: dict[str, pd.Series] = {}
    disputed: dict[str, int] = {}
    for name in names:
        values = _take(known, name, known_rows, count)
        if name in told:
            said, agreed, contradicted = _agree(told[name].reset_index(drop=True), told_rows, count)
            values = agreed.where(said, values)
            if contradicted:
                disputed[name] = contradicted
        columns[name] = values
    index = pd.Index(manifest["image_id"], name=IMAGE, dtype="str")
    table = pd.DataFrame(columns, dtype="str").set_axis(index, axis=0)
    return table.dropna(how="all").sort_index(), disputed


def differences(own: pd.DataFrame, base: pd.DataFrame) -> pd.DataFrame:
    """What one table knows otherwise than another, as something told; only the first one's attributes count."""
    ids = own.index.union(base.index).rename(IMAGE)
    now, before = (table.reindex(index=ids, columns=own.columns).astype("str").fillna("") for table in (own, base))
    return now.where(now != before).dropna(how="all")


def same_attributes(own: pd.DataFrame, other: pd.DataFrame, names: Sequence[str]) -> bool:
    """Whether two tables know the same of some attributes."""
    both = [table.reindex(columns=list(names)).astype("str").dropna(how="all") for table in (own, other)]
    return both[0].equals(both[1])


def _rows_of(subjects: pd.Index, manifest: pd.DataFrame, ledger: pd.DataFrame) -> np.ndarray:
    """For each key or image id the row of the manifest that stands for its pixels, -1 where there is none."""
    if subjects.name == KEY:
        objects = newest_rows(ledger)
        objects, column = objects[objects["reason"].isna()], "source_key"
    else:
        objects, column = ledger, "image_id"
    images = _places(objects["pixel_id"], manifest["pixel_id"])
    return np.asarray(np.append(images, -1)[_places(subjects, objects[column])])


def _places(values: pd.Series | pd.Index, among: pd.Series) -> np.ndarray:
    """Where each of some texts is found first, -1 where it is not."""
    # An index of pandas would make objects of the texts first, which takes twice as long.
    found = pc.index_in(pa.array(values, pa.string()), value_set=pa.array(among, pa.string()))
    return np.asarray(pc.fill_null(found, -1))


def newest_rows(ledger: pd.DataFrame) -> pd.DataFrame:
    """Of each key the row of the object that came last: an overwritten one is not there any more.

    Args:
        ledger: with the columns source_key, etag and ingested_at.
    """
    several = ledger["source_key"].duplicated(keep=False)
    last = ledger[several].sort_values(["ingested_at", "etag"]).drop_duplicates("source_key", keep="last")
    return pd.concat([ledger[~several], last])


def _take(known: pd.DataFrame, name: str, rows: np.ndarray, count: int) -> pd.Series:
    if name not in known:
        return pd.Series([None] * count, dtype="str")
    return _placed(known[name], rows, count)


def _placed(values: pd.Series, rows: np.ndarray, count: int) -> pd.Series:
    """Values at their rows of so many, null elsewhere; those with the row -1 are left out."""
    place = np.full(count, -1)
    place[rows[rows >= 0]] = np.flatnonzero(rows >= 0)
    return pd.Series(values.array.take(place, allow_fill=True))


def _agree(values: pd.Series, rows: np.ndarray, count: int) -> tuple[np.ndarray, pd.Series, int]:
    """Which rows something is told of, on what that agrees, and of how many it does not."""
    told = values.notna() & (rows >= 0)
    said = np.zeros(count, dtype=bool)
    said[rows[told]] = True
    pairs = pd.DataFrame({"row": rows, "value": values})[told & (values != "")]
    several = pairs["row"].duplicated(keep=False)
    pairs = pd.concat([pairs[~several], pairs[several].drop_duplicates()])
    contradicted = pairs["row"].duplicated(keep=False)
    agreed = pairs[~contradicted]
    return said, _placed(agreed["value"], agreed["row"].to_numpy(), count), pairs["row"][contradicted].nunique()


def describe_disputed(disputed: Mapping[str, int]) -> list[str]:
    """Sentences about attributes that are told differently."""
    return [
        f"labels.csv says different things of {name} for {count} image(s), of which it stays unknown"
        for name, count in disputed.items()
    ]
