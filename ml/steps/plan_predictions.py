"""Task ``plan_predictions``: list the images of a batch, and pin the version that answers for all of them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ml import layout
from ml.errors import ConfigError, DataError
from ml.prediction_batches import BatchPlan, find_plan, finished_batch, list_shards, shard_names, store_plan

if TYPE_CHECKING:
    from datetime import datetime

    from ml.context import Context
    from serving.batch import Target

__all__ = ["SHARD_SIZE", "run"]

log = logging.getLogger(__name__)

#: Objects in a shard: some seconds to minutes of asking, and the most that is asked again after a failure.
SHARD_SIZE = 1000


def run(context: Context, batch_id: str, prefix: str, now: datetime, shard_size: int = SHARD_SIZE) -> list[str]:
    """Plan a batch, or go on with its plan.

    The version is the one that ``serving.label`` names now, and stays the batch's. Planned again, the batch keeps its
    version as long as it is served, so that what was answered counts; then it takes the one that is named by then,
    and everything is asked anew.

    Args:
        context: settings and store.
        batch_id: the batch's name.
        prefix: of the images' keys in the store, e.g. ``incoming/2026-11/``.
        now: kept with the plan.
        shard_size: objects in a shard.

    Returns:
        Names of the shards.

    Raises:
        ConfigError: the prefix is empty, or is where predictions lie.
        DataError: there are no objects, or too many, or the batch of this name was about others.
        ServingError: the server does not answer, or has no such label.
    """
    _check_prefix(prefix)
    store = context.store
    before = find_plan(store, batch_id)
    _check_before(before, prefix, context.settings.model_name)
    finished = before if finished_batch(store, batch_id) else None
    images, shards = list_shards(store, batch_id, store.list(prefix), shard_size, keep=finished is None)
    if not shards:
        raise DataError(f"No object lies below {prefix} in {store.url}.", "Name a prefix of images in the store.")
    if finished:
        return shard_names(_unchanged(finished, prefix, shards))
    target = _find_target(context, before)
    plan = BatchPlan(
        batch_id=batch_id,
        prefix=prefix,
        model_name=context.settings.model_name,
        version=target.version,
        label=before.label if before and before.version == target.version else context.settings.serving.label,
        classes=target.classes,
        tells_status=target.tells_status,
        images=images,
        shards=shards,
        planned_at=now.isoformat(),
    )
    if before is None or not plan.asks_like(before):
        store_plan(store, plan)
    log.info("batch %s: %d objects in %d shards, for version %d", batch_id, images, len(shards), target.version)
    return shard_names(plan)


def _check_prefix(prefix: str) -> None:
    if not prefix or layout.PREDICTIONS.startswith(prefix) or prefix.startswith(layout.PREDICTIONS):
        raise ConfigError(
            f"The prefix {prefix!r} takes in {layout.PREDICTIONS}, where the answers go.",
            "Name a prefix of images in the store, e.g. incoming/2026-11/.",
        )


def _check_before(before: BatchPlan | None, prefix: str, model_name: str) -> None:
    for known, wanted in ((before.prefix, prefix), (before.model_name, model_name)) if before else ():
        if known != wanted:
            raise DataError(f"The batch of this name is about {known}, not about {wanted}.", "Give it another name.")


def _unchanged(plan: BatchPlan, prefix: str, shards: tuple[str, ...]) -> BatchPlan:
    if not plan.lists_like(prefix, shards):
        raise DataError(
            f"The batch '{plan.batch_id}' is finished, and what lies below {prefix} or the size of shards has changed "
            "since.",
            "Give the new batch another name.",
        )
    log.info("batch %s is finished already", plan.batch_id)
    return plan


def _find_target(context: Context, before: BatchPlan | None) -> Target:
    from serving.batch import find_target
    from serving.client import GrpcClient, ModelNotFoundError

    settings = context.settings
    known = () if settings.classes == "discover" else tuple(settings.classes)
    with GrpcClient.from_settings(settings) as client:
        if before is not None:
            try:
                return find_target(client, before.version, classes=known)
            except ModelNotFoundError:
                log.warning("version %d is not served any more; all is asked anew", before.version)
        return find_target(client, classes=known)
