"""Task ``approve``: whether a person is to be asked before the winner is promoted, and what that person said."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from ml import layout
from ml.approval import answer_approval, ask_approval, find_approval, load_decision, require_cleared
from ml.errors import DataError
from ml.promotions import load_changes, promotion_of
from ml.steps import report

if TYPE_CHECKING:
    from datetime import datetime

    from ml.approval import Answer, Approval
    from ml.context import Context

__all__ = ["answer", "answer_unasked", "run"]

log = logging.getLogger(__name__)


def run(context: Context, run_id: str, now: datetime) -> dict[str, Any]:
    """Ask for approval, where the settings want it and the gate cleared the winner.

    The page that people are to look at is written first. An approval of the same decision stands: a task that is
    tried again asks nobody twice. After a rejection it asks anew.

    Returns:
        ``waits``: whether a person is to answer; ``promoted`` and ``reason`` as things stand, ``variant``, ``rules``,
        ``gate_notice`` of the decision, and ``page``.
    """
    decided = load_decision(context.store, run_id)
    document = decided.document
    waits = document["promoted"] and context.settings.gate.approval is not None
    approval = ask_approval(context.store, run_id, decided, now) if waits else None
    waits = approval is not None and not approval.approved
    if waits:
        report.run(context, run_id, now)
        log.info("run %s: %s", run_id, approval)
    return {
        "run_id": run_id,
        "waits": waits,
        "promoted": document["promoted"],
        "reason": str(approval) if approval else document["reason"],
        "variant": document["variant"],
        "rules": document["rules"],
        "gate_notice": document.get("gate_notice"),
        "page": context.store.uri(layout.run_key(run_id, "report.html")),
    }


def answer(context: Context, run_id: str, answered: Answer) -> Approval:
    """Record a person's answer to what was asked; where somebody has answered already, that stands."""
    approval = answer_approval(context.store, run_id, answered)
    log.info("run %s: %s", run_id, approval)
    return approval


def answer_unasked(context: Context, run_id: str, answered: Answer, now: datetime) -> Approval:
    """Record the answer of somebody who was not waited for, or who answers after a rejection.

    Raises:
        DataError: the gate rejected the run, or what is to be rejected was approved or promoted before.
    """
    decided = load_decision(context.store, run_id)
    require_cleared(run_id, decided)
    approval = find_approval(context.store, run_id, decided)
    changes = load_changes(context.store, context.settings.model_name)
    promoted = promotion_of(changes, run_id, decided.document["variant"])
    if promoted and not answered.approved:
        raise DataError(
            f"Run {run_id} cannot be rejected any more: it was promoted as version {promoted.version}.",
            "Promote another run in its place, or roll it back.",
        )
    if approval is not None and approval.approved:
        if not answered.approved:
            raise DataError(
                f"Run {run_id} cannot be rejected any more: {approval}",
                "Promote another run in its place, or roll it back.",
            )
        return approval
    ask_approval(context.store, run_id, decided, now)
    return answer(context, run_id, answered)
