"""A batch of predictions in the store: what is to be asked, in shards, and what was answered.

A shard is named by its listing, so that one that was answered by the batch's version is not asked again.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from dataclasses import asdict, dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from ml import layout
from ml.errors import DataError, NotFoundError
from ml.storage import dump_json, find_json, put_once

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ml.storage import ObjectInfo, Store

__all__ = [
    "MAX_SHARDS",
    "BatchPlan",
    "Listed",
    "Part",
    "find_plan",
    "finished_batch",
    "list_shards",
    "load_plan",
    "part_metadata",
    "read_listing",
    "read_part",
    "shard_names",
    "store_batch",
    "store_part",
    "store_plan",
]

#: Airflow maps a task over 1024 values at most.
MAX_SHARDS = 1000
LISTING = pa.schema(
    [
        pa.field("key", pa.binary(), nullable=False),  # not all that a folder lists is text
        pa.field("etag", pa.string(), nullable=False),
        pa.field("bytes", pa.int64(), nullable=False),
    ]
)
#: In a part's footer.
FACTS = "quartet.part"


class Listed(NamedTuple):
    """An object that is to be classified, as it was listed."""

    key: str
    etag: str
    bytes: int


@dataclass(frozen=True)
class BatchPlan:
    """What a batch asks.

    Attributes:
        batch_id: the batch's name.
        prefix: of the images' keys.
        model_name: that is asked.
        version: of it, by its number, from the first shard to the last.
        label: that named this version when the batch began; None where none was asked.
        classes: the labels, in the order of the probabilities.
        tells_status: whether the version answers for images that do not decode.
        images: number of listed objects.
        shards: digest of each shard's listing.
        planned_at: ISO time.
    """

    batch_id: str
    prefix: str
    model_name: str
    version: int
    label: str | None
    classes: tuple[str, ...]
    tells_status: bool
    images: int
    shards: tuple[str, ...]
    planned_at: str

    def asks_like(self, other: BatchPlan) -> bool:
        """Whether both ask the same of the same version."""
        return asdict(self) | {"planned_at": ""} == asdict(other) | {"planned_at": ""}

    def lists_like(self, prefix: str, shards: tuple[str, ...]) -> bool:
        """Whether it is about these objects, cut into these shards."""
        return (self.prefix, self.shards) == (prefix, shards)


@dataclass(frozen=True)
class Part:
    """What the answers of a shard say of themselves: whose they are, and how many of which status and class."""

    listing: str
    version: int
    images: int
    statuses: Mapping[str, int]
    classes: Mapping[str, int]
    seconds: float

    def answers(self, plan: BatchPlan, shard: str) -> bool:
        """Whether these are the answers that a plan wants for a shard."""
        return (self.listing, self.version) == (plan.shards[int(shard)], plan.version)


def list_shards(
    store: Store, batch_id: str, objects: Iterable[ObjectInfo], size: int, *, keep: bool
) -> tuple[int, tuple[str, ...]]:
    """Cut listed objects into shards; returns the objects' number and the shards' digests.

    Args:
        store: of the batch.
        batch_id: the batch's name.
        objects: in the order of their keys.
        size: objects in a shard; the last one may have fewer.
        keep: what each shard holds, for those who ask.

    Raises:
        DataError: there are more than 1,000 shards.
    """
    digests: list[str] = []
    count, rest = 0, iter(objects)
    while chunk := list(islice(rest, size)):
        if len(digests) == MAX_SHARDS:
            raise DataError(
                f"There are more than {MAX_SHARDS * size} objects, {MAX_SHARDS} shards of {size}.",
                "Choose larger shards, or a longer prefix.",
            )
        data = _encode([Listed(info.key, info.etag, info.size) for info in chunk])
        digests.append(hashlib.sha256(data).hexdigest())
        if keep:
            put_once(store, _listing_key(batch_id, digests[-1]), data)
        count += len(chunk)
    return count, tuple(digests)


def read_listing(store: Store, plan: BatchPlan, shard: str) -> list[Listed]:
    """The objects of a shard, in the order of their keys."""
    table = pq.read_table(io.BytesIO(store.get(_listing_key(plan.batch_id, plan.shards[int(shard)]))))
    columns = (table[name].to_pylist() for name in LISTING.names)
    return [Listed(os.fsdecode(key), etag, size) for key, etag, size in zip(*columns, strict=True)]


def find_plan(store: Store, batch_id: str) -> BatchPlan | None:
    """The plan of a batch, None where there is none."""
    document = find_json(store, layout.predictions_key(batch_id, "plan.json"))
    if document is None:
        return None
    return BatchPlan(**document | {name: tuple(document[name]) for name in ("classes", "shards")})


def load_plan(store: Store, batch_id: str) -> BatchPlan:
    """The plan of a batch.

    Raises:
        DataError: there is none.
    """
    plan = find_plan(store, batch_id)
    if plan is None:
        raise DataError(f"There is no plan of a batch '{batch_id}'.", "Run plan_predictions first.")
    return plan


def store_plan(store: Store, plan: BatchPlan) -> None:
    """Keep a plan, in place of one that is not finished."""
    store.put(layout.predictions_key(plan.batch_id, "plan.json"), dump_json(asdict(plan)))


def shard_names(plan: BatchPlan) -> list[str]:
    """Names of the shards, ``00000`` and so on."""
    return [f"{number:05d}" for number in range(len(plan.shards))]


def part_metadata(part: Part) -> dict[str, str]:
    """What a part's table is to carry."""
    return {FACTS: json.dumps(asdict(part), sort_keys=True)}


def store_part(store: Store, plan: BatchPlan, shard: str, table: pa.Table) -> None:
    """Write the answers of a shard, in place of those of another plan."""
    stream = io.BytesIO()
    pq.write_table(table, stream)
    store.put(_part_key(plan.batch_id, shard), stream.getvalue())


def read_part(store: Store, plan: BatchPlan, shard: str) -> Part | None:
    """What a shard's answers say of themselves; None where there are none that this plan wants."""
    try:
        data = store.get(_part_key(plan.batch_id, shard))
    except NotFoundError:
        return None
    metadata = pq.read_schema(io.BytesIO(data)).metadata or {}
    part = Part(**json.loads(metadata[FACTS.encode()]))
    return part if part.answers(plan, shard) else None


def finished_batch(store: Store, batch_id: str) -> dict[str, Any] | None:
    """What a finished batch says of itself, None for one that is not finished."""
    return find_json(store, layout.predictions_key(batch_id, "batch.json"))


def store_batch(store: Store, plan: BatchPlan, document: Mapping[str, Any]) -> str:
    """Remove what earlier plans of the batch left, then say that it is finished; returns where it says so."""
    wanted = {_part_key(plan.batch_id, shard) for shard in shard_names(plan)}
    wanted |= {_listing_key(plan.batch_id, digest) for digest in plan.shards}
    for key in _written(store, plan.batch_id):
        if key not in wanted:
            store.delete(key)
    key = layout.predictions_key(plan.batch_id, "batch.json")
    put_once(store, key, dump_json(document))
    return store.uri(key)


def _written(store: Store, batch_id: str) -> Iterator[str]:
    for beginning in ("part-", "listings/"):
        yield from [info.key for info in store.list(layout.predictions_key(batch_id, beginning))]


def _encode(rows: list[Listed]) -> bytes:
    columns = [[os.fsencode(row.key) for row in rows], [row.etag for row in rows], [row.bytes for row in rows]]
    stream = io.BytesIO()
    pq.write_table(pa.table(dict(zip(LISTING.names, columns, strict=True)), schema=LISTING), stream)
    return stream.getvalue()


def _part_key(batch_id: str, shard: str) -> str:
    return layout.predictions_key(batch_id, f"part-{shard}.parquet")


def _listing_key(batch_id: str, digest: str) -> str:
    return layout.predictions_key(batch_id, f"listings/{digest}.parquet")
