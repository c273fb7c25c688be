"""Removing what a plan says, in orders that leave nothing half-visible; each is looked at once more just before."""

from __future__ import annotations

import json
import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from ml import layout
from ml.approval import waits_for_answer
from ml.errors import ConflictError, NotFoundError, StoreError
from ml.housekeeping.items import limit_of, old_enough
from ml.housekeeping.survey import recorded_versions, run_of
from ml.registry import Registry
from ml.releases import pending_objects
from ml.storage import dump_json, find_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from ml.context import Context
    from ml.housekeeping.items import Item, Kind
    from ml.storage import Store

__all__ = ["remove"]

log = logging.getLogger(__name__)

#: Of a run. `quartet forget` finds by the last two what shows an image, so these go after all that shows one.
FIRST, LAST = (layout.PLAN,), (layout.PAGE_IMAGES, "predictions.parquet", "candidate.json", "samples.parquet")


def remove(context: Context, item: Item, since: datetime, now: datetime) -> str:
    """Remove something, unless it is needed by now.

    Args:
        context: settings and store.
        item: that goes, of :func:`ml.housekeeping.plan.plan_removal`.
        since: days are counted back from it.
        now: kept as when it was removed.

    Returns:
        Why it stays after all; empty where it is gone.

    Raises:
        StoreError: the store or the registry does not answer; what is left goes the next time.
    """
    return REMOVERS[item.kind](context, item, since, now)


def _remove_run(context: Context, item: Item, since: datetime, now: datetime) -> str:
    """First the word that it is removed, by which nobody begins anything with it; then its versions; then its files.

    Whoever publishes its winner at this moment writes so into its folder and then looks for this word; here it is the
    other way round. So at least one of the two sees the other, and gives way.
    """
    store, key = context.store, layout.removed_run_key(item.name)
    why = _run_needed(context, item, since)
    if why:
        return why
    if store.head(key) is None:
        store.put(key, dump_json({"run_id": item.name, "removed_at": now.isoformat(), "why": item.why}))
    why = _run_needed(context, item, since)
    if why:
        store.delete(key)
        return why
    for number in item.versions:
        _erase_version(context, layout.model_prefix(context.settings.model_name, number), number, now)
    _erase_pictures(context, item, now)
    _erase_pointer(store, item)
    _erase(store, item.prefix, _order_in_run)
    return ""


def _run_needed(context: Context, item: Item, since: datetime) -> str:
    store = context.store
    limit = limit_of(context.settings.retention.run_days, since)
    if limit is None or not old_enough(store, item.prefix, limit):
        return "was written to meanwhile"
    for model, recorded in recorded_versions(store).items():
        if item.name in recorded.values() or (
            model == context.settings.model_name and not recorded.keys().isdisjoint(item.versions)
        ):
            return f"is on record as a version of {model} by now"
    return "waits for a person's approval" if waits_for_answer(store, item.name) else ""


def _order_in_run(key: str) -> tuple[int, str]:
    name = key.rpartition("/")[2]
    rank = -1 if name in FIRST else LAST.index(name) + 1 if name in LAST else 0
    return rank, key


def _erase_pictures(context: Context, item: Item, now: datetime) -> None:
    """Overlays at the tracking server show images; without the run's files nobody could find out whose."""
    from mlflow.exceptions import MlflowException

    told = {"quartet.files": f"removed by retention on {now:%Y-%m-%d}"}
    for info in list(context.store.list(item.prefix)):
        if not info.key.endswith("/candidate.json"):
            continue
        tracked = (find_json(context.store, info.key) or {}).get("mlflow_run_id")
        if not tracked:
            continue
        try:
            registry = Registry(context.settings)
            registry.remove_file(tracked, "attention.png")
            registry.tag_run_if_there(tracked, told)
        except MlflowException as error:
            raise _registry_down(context, item.name, error) from error


def _erase_pointer(store: Store, item: Item) -> None:
    """Take away that later runs find this one; where it names another by now, it stays."""
    plan = find_json(store, item.prefix + layout.PLAN) or {}
    if "identity" not in plan:
        return
    key = layout.run_by_identity_key(plan["identity"])
    with suppress(NotFoundError, ConflictError):
        data, etag = store.get_with_etag(key)
        if layout.safe_run_id(json.loads(data)["run_id"]) == item.name:
            store.delete_if_match(key, etag)


def _remove_version(context: Context, item: Item, since: datetime, now: datetime) -> str:
    model, number = item.prefix.split("/")[1], int(item.prefix.split("/")[2])
    if model != context.settings.model_name:
        return f"is of another model than {context.settings.model_name}"
    limit = limit_of(context.settings.retention.run_days, since)
    if limit is None or not old_enough(context.store, item.prefix, limit):
        return "was written to meanwhile"
    if number in recorded_versions(context.store).get(model, {}):
        return "is on record by now"
    run = run_of(context.store, item.prefix)
    published = context.store.head(item.prefix + layout.SUMS) is not None
    if published and run is not None and next(iter(context.store.list(layout.run_prefix(run))), None) is not None:
        return f"belongs to run {run}, which stays"
    _erase_version(context, item.prefix, number, now)
    return ""


def _erase_version(context: Context, prefix: str, number: int, now: datetime) -> None:
    """The registry first, then the sums, without which a version is none; last what tells whose it is."""
    from mlflow.exceptions import MlflowException

    try:
        Registry(context.settings).record_removed(number, f"Removed by retention on {now:%Y-%m-%d}.")
    except MlflowException as error:
        raise _registry_down(context, f"version {number}", error) from error
    ranks = {prefix + layout.SUMS: 0, f"{prefix}assets.extra/{layout.DECISION}": 2}
    _erase(context.store, prefix, lambda key: (ranks.get(key, 1), key))


def _registry_down(context: Context, name: str, error: Exception) -> StoreError:
    return StoreError(
        f"The registry {context.settings.tracking_uri} does not let {name} go: {error}.",
        "Check that it runs, and `tracking_uri`; what is left goes the next time.",
    )


def _remove_features(context: Context, item: Item, since: datetime, _: datetime) -> str:
    """Indices first: a shard without one is read by nobody."""
    limit = limit_of(context.settings.retention.feature_days, since)
    if limit is None or not old_enough(context.store, item.prefix, limit):
        return "were written to meanwhile"
    cache = context.settings.store.cache_dir
    for key in _erase(context.store, item.prefix, lambda key: (not key.endswith(".json"), key)):
        if key.endswith(".npy"):
            context.store.discard(key, cache)
    return ""


def _remove_quarantined(context: Context, item: Item, since: datetime, now: datetime) -> str:
    """The word that the bytes are removed, then the bytes; what was refused and why stays beside it."""
    store, folder = context.store, item.prefix.removesuffix("object")
    limit = limit_of(context.settings.retention.quarantine_days, since)
    if limit is None or not all(
        info.last_modified < limit for info in store.list(folder) if info.key != folder + layout.BYTES_REMOVED
    ):
        return "was written to meanwhile"
    if item.prefix in pending_objects(store):
        return "is released by now"
    store.put(folder + layout.BYTES_REMOVED, dump_json({"removed_at": now.isoformat(), "bytes": item.bytes}))
    store.delete(item.prefix)
    return ""


def _remove_arrivals(context: Context, item: Item, since: datetime, _: datetime) -> str:
    limit = limit_of(context.settings.retention.arrival_days, since)
    if limit is None or not old_enough(context.store, item.prefix, limit):
        return "was written to meanwhile"
    # What was taken in before the list of what was to be taken in: without its rows a chunk is taken in again.
    _erase(context.store, item.prefix, lambda key: (not key.endswith("/rows.parquet"), key))
    return ""


def _remove_predictions(context: Context, item: Item, since: datetime, _: datetime) -> str:
    """First what says that the batch is whole, last what says what it is about."""
    limit = limit_of(context.settings.retention.prediction_days, since)
    if limit is None or not old_enough(context.store, item.prefix, limit):
        return "was written to meanwhile"
    ranks = {f"{item.prefix}batch.json": 0, f"{item.prefix}plan.json": 2}
    _erase(context.store, item.prefix, lambda key: (ranks.get(key, 1), key))
    return ""


def _erase(store: Store, prefix: str, order: Callable[[str], tuple[int, str]]) -> Iterable[str]:
    """Remove the objects below a prefix, or the one of that key, in an order; returns their keys."""
    keys = sorted((info.key for info in store.list(prefix)), key=order)
    for key in keys:
        store.delete(key)
    return keys


REMOVERS: dict[Kind, Callable[[Context, Item, datetime, datetime], str]] = {
    "version": _remove_version,
    "run": _remove_run,
    "features": _remove_features,
    "quarantine": _remove_quarantined,
    "arrivals": _remove_arrivals,
    "predictions": _remove_predictions,
}
