"""Task ``publish_predictions``: see that a batch is whole, and say so."""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING, Any

from ml import layout
from ml.errors import DataError
from ml.prediction_batches import finished_batch, load_plan, read_part, shard_names, store_batch

if TYPE_CHECKING:
    from datetime import datetime

    from ml.context import Context
    from ml.prediction_batches import BatchPlan, Part

__all__ = ["run"]

log = logging.getLogger(__name__)


def run(context: Context, batch_id: str, now: datetime) -> dict[str, Any]:
    """Write ``batch.json``, last and once: a batch that has one is whole and does not change any more.

    Returns:
        ``batch_id``, ``version``, ``images``, ``statuses`` and ``uri``.

    Raises:
        DataError: a shard has no answers of the batch's version.
    """
    store = context.store
    plan = load_plan(store, batch_id)
    document = finished_batch(store, batch_id)
    if document is None:
        parts = _parts(context, plan)
        store_batch(store, plan, _document(plan, parts, now))
        document = finished_batch(store, batch_id) or {}
    for status, count in sorted(document["statuses"].items()):
        log.log(logging.INFO if status == "OK" else logging.WARNING, "batch %s: %d %s", batch_id, count, status)
    uri = store.uri(layout.predictions_key(batch_id, ""))
    return {name: document[name] for name in ("batch_id", "version", "images", "statuses")} | {"uri": uri}


def _parts(context: Context, plan: BatchPlan) -> list[Part]:
    parts = {shard: read_part(context.store, plan, shard) for shard in shard_names(plan)}
    missing = [shard for shard, part in parts.items() if part is None]
    if missing:
        raise DataError(
            f"Of batch '{plan.batch_id}' {len(missing)} of {len(parts)} shards have no answers of version "
            f"{plan.version}: {', '.join(missing[:5])}.",
            "Clear predict_shard, or run `quartet batch-predict` again.",
        )
    return [part for part in parts.values() if part is not None]


def _document(plan: BatchPlan, parts: list[Part], now: datetime) -> dict[str, Any]:
    statuses: Counter[str] = Counter()
    classes: Counter[str] = Counter()
    for part in parts:
        statuses.update(part.statuses)
        classes.update(part.classes)
    return {
        "batch_id": plan.batch_id,
        "prefix": plan.prefix,
        "model": plan.model_name,
        "version": plan.version,
        "label": plan.label,
        "classes": list(plan.classes),
        "images": sum(part.images for part in parts),
        "statuses": dict(statuses),
        "predicted": dict(classes),
        "parts": [f"part-{shard}.parquet" for shard in shard_names(plan)],
        "listings": list(plan.shards),
        "seconds": round(sum(part.seconds for part in parts), 3),
        "planned_at": plan.planned_at,
        "finished_at": now.isoformat(),
    }
