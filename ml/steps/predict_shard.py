"""Task ``predict_shard``, once a shard: ask the batch's version about its images."""

from __future__ import annotations

import logging
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from ml import layout
from ml.errors import DataError, NotFoundError
from ml.prediction_batches import Part, load_plan, part_metadata, read_listing, read_part, store_part

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml.context import Context
    from ml.prediction_batches import BatchPlan, Listed
    from ml.storage import Store
    from serving.batch import Item, Row, Target
    from serving.client import Client

__all__ = ["CHANGED", "run"]

log = logging.getLogger(__name__)

#: Status of an object that was replaced or removed since the batch was planned.
CHANGED = "CHANGED"


def run(context: Context, batch_id: str, shard: str) -> dict[str, Any]:
    """Ask about one shard; one that this plan's version has answered is not asked again.

    Returns:
        ``batch_id``, ``shard``, ``images`` and ``statuses``, a count each.

    Raises:
        DataError: the batch's version is served no more.
        ServingError: the server does not answer.
    """
    plan = load_plan(context.store, batch_id)
    part = read_part(context.store, plan, shard)
    if part is None:
        part = _ask(context, plan, shard)
        log.info("batch %s, shard %s: %d images in %.1f s", batch_id, shard, part.images, part.seconds)
    else:
        log.info("batch %s, shard %s was answered before", batch_id, shard)
    return {"batch_id": batch_id, "shard": shard, "images": part.images, "statuses": dict(part.statuses)}


def _ask(context: Context, plan: BatchPlan, shard: str) -> Part:
    from serving.batch import Target, predict_items
    from serving.client import GrpcClient, ModelNotFoundError
    from serving.prediction_table import prediction_table

    target = Target(plan.version, plan.classes, plan.tells_status)
    limit = context.settings.images.max_bytes
    started = time.monotonic()
    items = (_item(context.store, listed, limit) for listed in read_listing(context.store, plan, shard))
    with GrpcClient.from_settings(context.settings) as client:
        try:
            rows = list(predict_items(client, target, items))
        except ModelNotFoundError as error:
            if _is_gone(client, target):
                raise _gone(plan) from error
            raise
    part = _describe(plan, shard, rows, time.monotonic() - started)
    store_part(context.store, plan, shard, prediction_table(rows, target, plan.model_name, part_metadata(part)))
    return part


def _item(store: Store, listed: Listed, max_bytes: int) -> Item:
    from serving.batch import Item

    return Item(layout.printable(listed.key), listed.bytes, _reader(store, listed, max_bytes))


def _reader(store: Store, listed: Listed, max_bytes: int) -> Callable[[], bytes]:
    from serving.batch import TOO_LARGE, UnreadableError

    def read() -> bytes:
        if listed.bytes > max_bytes:
            raise UnreadableError(TOO_LARGE)
        try:
            data, etag = store.get_with_etag(listed.key)
        except NotFoundError as error:
            raise UnreadableError(CHANGED) from error
        if etag != listed.etag:
            raise UnreadableError(CHANGED)
        return data

    return read


def _is_gone(client: Client, target: Target) -> bool:
    """Whether a server that is up has left the version; one that is starting has none, and is worth another try."""
    states = {one.version: one.state for one in client.status()}
    return "AVAILABLE" in states.values() and states.get(target.version) not in {"START", "LOADING", "AVAILABLE"}


def _gone(plan: BatchPlan) -> DataError:
    return DataError(
        f"Version {plan.version}, which batch '{plan.batch_id}' began with, is not served any more, and answers of two "
        "versions are not mixed.",
        "Clear plan_predictions with the tasks after it, or run `quartet batch-predict` again: the batch is asked anew "
        "of the version that is served now.",
    )


def _describe(plan: BatchPlan, shard: str, rows: list[Row], seconds: float) -> Part:
    classes = Counter(row.prediction.class_name for row in rows if row.prediction)
    return Part(
        listing=plan.shards[int(shard)],
        version=plan.version,
        images=len(rows),
        statuses=dict(Counter(row.status for row in rows)),
        classes=dict(classes),
        seconds=round(seconds, 3),
    )
