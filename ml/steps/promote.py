"""Task ``promote``: make the published winner the stable version, and so the champion."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from ml import layout
from ml.approval import load_decision
from ml.errors import DataError, NotFoundError
from ml.grounds import require_grounds, require_same_grounds
from ml.promoting import change_of, follow_record, withdraw
from ml.promotions import append_change, champion_of, load_changes, promotion_of
from ml.steps.publish import load_publication
from ml.storage import read_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from ml.approval import Decided
    from ml.context import Context
    from ml.orders import Order
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
        DataError: no approval, no trial that was stood, or the champion is another one than the gate compared with, or
            than a person decided to replace, which ends the trial.
        ConflictError: somebody else changed what serves at the same moment.
    """
    store, name = context.store, context.settings.model_name
    decided = load_decision(store, run_id)
    grounds = require_grounds(context, run_id, decided)
    publication = load_publication(context, run_id)
    changes = load_changes(store, name)
    change = promotion_of(changes, run_id, publication["variant"])
    if change is None:
        try:
            require_same_grounds(publication, grounds)
            _require_same_champion(decided, grounds.order, changes, run_id)
        except DataError as error:
            withdraw(context, publication, error.message)
            raise
        trial = _stood(context, run_id, changes, publication)
        evidence = {"decision_sha256": decided.sha256, **grounds.evidence, **_evidence(trial)}
        reason = grounds.order.grounds if grounds.order else str(decided.document["reason"])
        change = change_of(changes, publication, "promote", reason, now, grounds.by, evidence)
        append_change(store, name, change)
    follow_record(context)
    return {**{key: publication[key] for key in ("run_id", "variant", "version", "uri")}, "number": change.number}


def _require_same_champion(decided: Decided, order: Order | None, changes: Sequence[Change], run_id: str) -> None:
    """What was proven better than one champion, or decided on while it served, is not so for the next."""
    champion = champion_of(changes)
    now = champion.version if champion else None
    expected = order.champion if order else decided.document["champion"]
    if expected == now:
        return
    was, is_now = (f"version {one}" if one is not None else "none" for one in (expected, now))
    if order is not None:
        raise DataError(
            f"{order.by} decided to promote run {run_id} in the place of another champion ({was}) than today's "
            f"({is_now}).",
            "Promote it anew, or retrain.",
        )
    raise DataError(
        f"Run {run_id} was compared with another champion ({was}) than today's ({is_now}).",
        "Run `evaluate`, `examine` and `gate` of this run again, retrain, or promote it against the gate.",
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


def _evidence(trial: Mapping[str, Any] | None) -> dict[str, Any]:
    return {} if trial is None else {"canary": {"checks": trial["checks"], "figures": trial["figures"]}}
