"""Task ``order``: a person's decision to promote the winner of a past run, checked and kept."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ml.approval import find_approval
from ml.candidates import load_candidate
from ml.errors import DataError, NotFoundError
from ml.ordering import (
    load_decided,
    missed_rules,
    require_answered,
    require_materials,
    require_named,
    require_not_promoted,
    require_sound,
    require_yielding,
)
from ml.orders import Order, find_order, store_order
from ml.promotions import champion_of, load_changes

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from ml.candidates import Contender
    from ml.context import Context
    from ml.orders import PromotionRequest
    from ml.storage import Store

__all__ = ["run"]

log = logging.getLogger(__name__)


def run(
    context: Context, request: PromotionRequest, now: datetime, at_work: Callable[[str], bool | None] | None = None
) -> Order:
    """Keep the decision, which :func:`ml.steps.publish.run` and what follows then rest on.

    Tried again, the task finds the decision that it kept, whatever has become of it meanwhile.

    Args:
        context: settings and store.
        request: what is wanted.
        now: when.
        at_work: says whether a run, by its own id, is still going on; None, it or its answer, where nobody knows.

    Returns:
        The decision; its ``run_id`` is the run's own.

    Raises:
        DataError: nobody may promote the run's winner, or not without going against the gate; see
            :mod:`ml.ordering`.
    """
    require_named(request, context.settings)
    store = context.store
    decided = load_decided(store, request.run_id, at_work)
    run_id, variant = str(decided.document["run_id"]), str(decided.document["variant"])
    found = find_order(store, run_id, decided)
    if found is not None and found.id == request.id:
        return found
    changes = load_changes(store, context.settings.model_name)
    require_not_promoted(changes, run_id, variant)
    approval = find_approval(store, run_id, decided)
    if at_work is None or at_work(run_id) is None:
        require_answered(run_id, approval)
    candidate = _candidate(store, run_id, variant)
    require_materials(store, decided, candidate)
    require_sound(store, decided, candidate)
    champion, compared = champion_of(changes), decided.document["champion"]
    serving, missed = champion.version if champion else None, missed_rules(decided.document)
    if not request.against_the_gate:
        require_yielding(run_id, missed, compared, serving)
    order = Order(
        run_id,
        variant,
        decided.sha256,
        request.id,
        request.by,
        request.reason.strip(),
        now.isoformat(),
        request.through,
        compared,
        serving,
        missed,
        str(approval) if approval is not None and approval.answer is not None and not approval.approved else "",
    )
    store_order(store, order)
    log.info("run %s: %s", run_id, order)
    return order


def _candidate(store: Store, run_id: str, name: str) -> Contender:
    try:
        return load_candidate(store, run_id, name)
    except NotFoundError as error:
        raise DataError(
            f"Run {run_id} cannot be promoted any more: {error.message}", "Restore it from a backup, or retrain."
        ) from error
