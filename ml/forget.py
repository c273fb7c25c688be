"""Forgetting images whose consent was withdrawn: from the store, the caches, the pages and all future snapshots.

First come the tombstones, so that nothing takes the pictures in again, then a snapshot without them, then the removal.
Killed anywhere and done again, it ends the same.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ml import layout
from ml.assembly import leave_out
from ml.erasure import erase_attributes, erase_rows, erase_set_aside, erase_warmup
from ml.errors import ConfigError, ConflictError, DataError, OvertakenError
from ml.exposure import find_exposures, find_warmups
from ml.pictures import find_pictures
from ml.registry import Registry
from ml.request_store import erase_requests, find_requests, is_kept_image, kept_pixels
from ml.snapshots import latest_snapshot, publish_snapshot
from ml.tombstones import forgotten_ids, read_tombstone, write_tombstones
from ml.traces import attribute_tables, find_attributes, find_files, find_shards, find_snapshot_pages

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from collections.abc import Set as AbstractSet
    from datetime import datetime

    import pandas as pd

    from ml.context import Context
    from ml.exposure import Exposure
    from ml.pictures import Picture

__all__ = ["Plan", "forget", "plan_forgetting"]

log = logging.getLogger(__name__)

COLUMNS = ("source_key", "etag", "reason", "image_id", "pixel_id")


@dataclass(frozen=True)
class Plan:
    """One picture, where it has left traces, and the models that saw it.

    Attributes:
        picture: its digests.
        sources: keys of all objects that ever held it, as the ledger has them.
        landing: key and etag of those that the landing zone still has.
        files: keys of its bytes and of their records, accepted and in quarantine.
        shards: keys of the indices of cached feature maps.
        pages: keys of pictures and pages that show it.
        warmups: keys of published versions' warm-up requests that hold it.
        tables: keys of tables of attributes that have a row of it.
        requests: keys of what was kept of requests about it.
        models: those that saw it.
    """

    picture: Picture
    sources: tuple[str, ...]
    landing: tuple[tuple[str, str], ...]
    files: tuple[str, ...]
    shards: tuple[str, ...]
    pages: tuple[str, ...]
    warmups: tuple[str, ...]
    tables: tuple[str, ...]
    requests: tuple[str, ...]
    models: tuple[Exposure, ...]


def plan_forgetting(context: Context, names: Iterable[str]) -> list[Plan]:
    """Find images and their traces; nothing is written.

    Args:
        context: settings and store.
        names: image ids or their first 8 or more digits, of accepted or quarantined images.

    Raises:
        DataError: nothing is published yet, or a name means no image or several.
    """
    store, snapshot = context.store, latest_snapshot(context.store)
    if snapshot is None:
        raise DataError("There is no published snapshot.", "Run `quartet ingest`.")
    ledger = snapshot.ledger_columns(COLUMNS)
    pictures = find_pictures(context, ledger, names, kept_pixels(store))
    ids = frozenset(image_id for picture in pictures for image_id in picture.image_ids)
    exposures = list(find_exposures(context, ids))
    pages = [
        *find_snapshot_pages(store, ids, forgotten_ids(store)),
        *((image_id, page) for image_id, one in exposures for page in one.pages if store.head(page)),
    ]
    files, shards = list(find_files(store, ids)), list(find_shards(store, ids))
    warmups = list(find_warmups(context, exposures))
    requests = list(find_requests(store, ids))
    digests = frozenset(digest for picture in pictures for digest in picture.digests)
    tables = list(find_attributes(store, ids | set(_rows_of(ledger, digests)["source_key"])))

    def plan(picture: Picture) -> Plan:
        rows, images = _rows_of(ledger, picture.digests), set(picture.image_ids)
        sources = set(rows["source_key"])
        return Plan(
            picture,
            tuple(sorted(sources)),
            _landing(context, rows),
            _of(images, files),
            _of(images, shards),
            _of(images, pages),
            _of(images, warmups),
            _of(images | sources, tables),
            _of(images, requests),
            tuple(exposure for image_id, exposure in exposures if image_id in picture.image_ids),
        )

    return [plan(picture) for picture in pictures]


def forget(
    context: Context, plans: Sequence[Plan], note: str, by: str, now: datetime, *, landing: bool = False
) -> str | None:
    """Forget what was planned.

    Args:
        context: settings and store.
        plans: of :func:`plan_forgetting`.
        note: why.
        by: who asks for it.
        now: when.
        landing: also remove from the landing zone exactly the versions that were found there.

    Returns:
        The id of the snapshot without the images; None when the newest one was without them already.

    Raises:
        ConfigError: objects of the landing zone are to go, and the store removes without regard to their version.
    """
    if landing and any(plan.landing for plan in plans) and not context.store.deletes_conditionally():
        raise ConfigError(
            f"{context.store.url} removes an object whatever its version is.",
            "Forget without --landing, and remove the objects from the landing zone yourself.",
        )
    records = [_record(context, plan, note, by, now, landing) for plan in plans]
    for record in records:
        write_tombstones(context.store, record)
    snapshot_id = _publish(context, records[0]["forgotten_at"])
    ids = frozenset(image_id for plan in plans for image_id in plan.picture.image_ids)
    erase_set_aside(context.store)
    # An ingest may have written others since they were looked for.
    names = ids.union(*(plan.sources for plan in plans))
    for table in attribute_tables(context.store):
        erase_attributes(context.store, table, names)
    for plan, record in zip(plans, records, strict=True):
        # Of a try that was killed a shard may be left whose index is gone, and on other machines a copy of it.
        for index in record["removed"]["feature_shards"]:
            erase_rows(context.store, index, ids, context.settings.store.cache_dir)
        _remove(context, plan)
        if landing:
            _clear(context, plan)
        log.info("image %s is forgotten: %s", plan.picture.image_ids[0], _counts(record))
    return snapshot_id


def _rows_of(ledger: pd.DataFrame, digests: AbstractSet[str]) -> pd.DataFrame:
    return ledger[ledger["image_id"].isin(digests) | ledger["pixel_id"].isin(digests)]


def _of(names: AbstractSet[str], pairs: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    return tuple(sorted({key for name, key in pairs if name in names}))


def _landing(context: Context, rows: pd.DataFrame) -> tuple[tuple[str, str], ...]:
    """What the landing zone still has of some ledger rows; of a key that is no text the ledger knows the beginning."""
    known = set(zip(rows["source_key"], rows["etag"], strict=True))
    beginnings = sorted({key.split("\\")[0] for key, _ in known})
    listed = (info for beginning in beginnings for info in context.store.list(beginning))
    return tuple(sorted({(info.key, info.etag) for info in listed if (layout.printable(info.key), info.etag) in known}))


def _record(context: Context, plan: Plan, note: str, by: str, now: datetime, landing: bool) -> dict[str, Any]:
    """The picture's tombstone: what earlier tries wrote there stays, and what they did not know is added."""
    sources = {_digest(key) for key in plan.sources}
    gone = {_digest(layout.printable(key)) for key, _ in plan.landing} if landing else set()
    found = {
        "files": set(plan.files),
        "feature_shards": set(plan.shards),
        "pages": set(plan.pages),
        "warm_up_requests": set(plan.warmups),
        "attribute_tables": set(plan.tables),
        "requests": set(plan.requests),
        "landing": gone,
    }
    models = {(one.run_id, one.variant or ""): one.to_dict() for one in plan.models}
    earlier = read_tombstone(context.store, plan.picture.digests)
    said = {"forgotten_at": now.isoformat(), "by": by, "note": note}
    if earlier:
        said = {name: earlier[name] for name in said}
        sources |= set(earlier["source_key_digests"])
        found = {name: keys | set(earlier["removed"].get(name, ())) for name, keys in found.items()}
        models = {(one["run_id"], one["variant"] or ""): one for one in earlier["models"]} | models
    return said | {
        "image_ids": list(plan.picture.image_ids),
        "pixel_id": plan.picture.pixel_id,
        # A key may name a patient.
        "source_key_digests": sorted(sources),
        "removed": {name: sorted(keys) for name, keys in found.items()},
        "models": [models[key] for key in sorted(models)],
    }


def _digest(source_key: str) -> str:
    return hashlib.sha256(source_key.encode()).hexdigest()


def _publish(context: Context, created_at: str) -> str | None:
    """Publish the newest snapshot's child without what is forgotten, whatever else is published meanwhile."""
    while True:
        latest = latest_snapshot(context.store)
        if latest is None:
            return None
        record = {"created_at": created_at, "notes": ["Images were forgotten, because consent was withdrawn."]}
        snapshot_id = leave_out(context, latest, record)
        if snapshot_id is None:
            return None
        try:
            publish_snapshot(context.store, snapshot_id)
        except OvertakenError:
            log.info("snapshot %s was overtaken; it is made again on what was published meanwhile", snapshot_id)
        else:
            log.info("snapshot %s is published without what is forgotten", snapshot_id)
            return snapshot_id


def _remove(context: Context, plan: Plan) -> None:
    """Remove all traces but feature maps; the bytes last, by which a version's warm-up requests are known."""
    store = context.store
    for key in plan.pages:
        store.delete(key)
    for tracked in sorted({one.mlflow_run_id for one in plan.models if one.shown and one.mlflow_run_id}):
        Registry(context.settings).remove_file(tracked, "attention.png")
    for key in plan.warmups:
        erase_warmup(context, key)
    ids = frozenset(plan.picture.image_ids)
    # What was kept since it was looked for goes as well. The bytes last: without any, rows are not looked for.
    for key in sorted({*plan.requests, *(key for _, key in find_requests(store, ids))}, key=is_kept_image):
        if is_kept_image(key):
            store.delete(key)
        else:
            erase_requests(store, key, ids)
    for key in plan.files:
        store.delete(key)


def _clear(context: Context, plan: Plan) -> None:
    for key, etag in plan.landing:
        try:
            context.store.delete_if_match(key, etag)
        except ConflictError:
            log.warning("%s was replaced meanwhile and stays", layout.printable(key))


def _counts(record: Mapping[str, Any]) -> str:
    return ", ".join(f"{len(keys)} {name.replace('_', ' ')}" for name, keys in record["removed"].items())
