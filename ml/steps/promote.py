"""Task ``promote``: make the published winner the stable version, and so the champion."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from ml import layout
from ml.approval import load_decision
from ml.errors import DataError, NotFoundError
from ml.promoting import change_of, follow_record, withdraw
from ml.promotions import append_change, champion_of, load_changes, promotion_of
from ml.steps.publish import load_publication, require_approval
from ml.storage import read_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from ml.approval import Approval, Decided
    from ml.context import Context
    from ml.promotions import Change

__all__ = ["run"]

log = logging.getLogger(__name__)


def run(context: Context, run_id: str, now: datetime) -> dict[str, Any]:
    """Append the promotion to the record of what serves; the registry's aliases follow.

    A promotion that is on record is not repeated: killed anywhere, a second run ends the same, and what was promoted
    before takes nothing back from what was made stable since.

    Returns:
        ``run_id``, ``variant``, ``version``, ``uri``, and ``number`` of the record.

    Raises:
        DataError: no approval, no trial that was stood, or the champion is another one than the gate compared with,
            which ends the trial.
        ConflictError: somebody else changed what serves at the same moment.
    """
    store, name = context.store, context.settings.model_name
    decided = load_decision(store, run_id)
    approval = require_approval(context, run_id, decided)
    publication = load_publication(context, run_id)
    changes = load_changes(store, name)
    change = promotion_of(changes, run_id, publication["variant"])
    if change is None:
        try:
            _require_same_champion(decided, changes, run_id)
        except DataError as error:
            withdraw(context, publication, error.message)
            raise
        evidence = _evidence(decided, approval, _stood(context, run_id, changes, publication))
        by = approval.answer.by if approval and approval.answer and approval.answer.by else "gate"
        reason = str(decided.document["reason"])
        change = change_of(changes, publication, "promote", reason, now, by, evidence)
        append_change(store, name, change)
    follow_record(context)
    return {**{key: publication[key] for key in ("run_id", "variant", "version", "uri")}, "number": change.number}


def _require_same_champion(decided: Decided, changes: Sequence[Change], run_id: str) -> None:
    """What was proven better than one champion is not proven better than the next."""
    compared, champion = decided.document["champion"], champion_of(changes)
    now = champion.version if champion else None
    if compared != now:
        was, is_now = (f"version {one}" if one is not None else "none" for one in (compared, now))
        raise DataError(
            f"Run {run_id} was compared with another champion ({was}) than today's ({is_now}).",
            "Run `evaluate`, `examine` and `gate` of this run again, or retrain.",
        )


def _stood(
    context: Context, run_id: str, changes: Sequence[Change], publication: Mapping[str, Any]
) -> dict[str, Any] | None:
    """The trial that the promotion rests on; None where the settings ask for none."""
    if context.settings.promotion.canary is None:
        return None
    version, remedy = publication["version"], f"Run `canary` of {run_id} again, or retrain."
    try:
        trial = dict(read_json(context.store, layout.run_key(run_id, layout.CANARY)))
    except NotFoundError as error:
        raise DataError(f"Version {version} was not on trial yet (`promotion.canary`).", remedy) from error
    if trial["version"] != version or not trial["passed"]:
        raise DataError(f"Version {trial['version']} did not stand its trial: {trial['reason']}", remedy)
    if not changes or changes[-1].serving.canary != version:
        raise DataError(f"Version {version} is not on trial any more: another version took its place.", remedy)
    return trial


def _evidence(decided: Decided, approval: Approval | None, trial: Mapping[str, Any] | None) -> dict[str, Any]:
    found: dict[str, Any] = {"decision_sha256": decided.sha256}
    if approval is not None and approval.answer is not None:
        found["approval"] = approval.to_dict()["answer"]
    if trial is not None:
        found["canary"] = {"checks": trial["checks"], "figures": trial["figures"]}
    return found
