"""What the steps from a published version to the stable one share."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ml.errors import ConflictError
from ml.promotions import Change, append_change, load_changes, newest_change
from ml.registry import Registry
from ml.serving_state import ServingState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ml.context import Context
    from ml.promotions import Action
    from ml.storage import Store

__all__ = ["append_decided", "change_of", "follow_record", "withdraw"]

log = logging.getLogger(__name__)

#: Somebody who appends between reading and writing makes a change be decided anew; more often than this is no chance.
TRIES = 10


def change_of(
    changes: Sequence[Change],
    publication: Mapping[str, Any],
    action: Action,
    reason: str,
    now: datetime,
    by: str = "pipeline",
    evidence: Mapping[str, Any] | None = None,
) -> Change:
    """The next record: what an action on a published version does to what serves.

    Args:
        changes: all records, the oldest first.
        publication: as :func:`ml.steps.publish.load_publication` gives it.
        action: canary, promote or withdraw.
        reason: why.
        now: when.
        by: who decided.
        evidence: what that rests on.
    """
    version = int(publication["version"])
    before = changes[-1].serving if changes else ServingState()
    moves = {"canary": before.begin_canary, "promote": before.promote, "withdraw": before.withdraw}
    return Change(
        number=(changes[-1].number if changes else 0) + 1,
        action=action,
        version=version,
        serving=moves[action](version),
        run_id=publication["run_id"],
        variant=publication["variant"],
        snapshot_id=publication["snapshot_id"],
        by=by,
        reason=reason,
        at=now.isoformat(),
        evidence=dict(evidence or {}),
    )


def append_decided(store: Store, model_name: str, decide: Callable[[list[Change]], Change | None]) -> Change | None:
    """Append what is decided on the records as they are; when somebody appends meanwhile, it is decided anew.

    Args:
        store: that holds the records.
        model_name: of the model.
        decide: from all records, the oldest first, to the next one; None appends nothing.

    Raises:
        ConflictError: others keep appending.
    """
    for attempt in range(TRIES):
        change = decide(load_changes(store, model_name))
        if change is None:
            return None
        try:
            return append_change(store, model_name, change)
        except ConflictError:
            if attempt == TRIES - 1:
                raise
    return None


def withdraw(context: Context, publication: Mapping[str, Any], reason: str) -> None:
    """End a version's trial, now; where it is on none any more, nothing is written."""

    def decide(changes: list[Change]) -> Change | None:
        if not changes or changes[-1].serving.canary != publication["version"]:
            return None
        return change_of(changes, publication, "withdraw", reason, datetime.now(UTC))

    append_decided(context.store, context.settings.model_name, decide)
    follow_record(context)


def follow_record(context: Context) -> None:
    """Make the registry's aliases say what the newest record says; mends what a killed task left.

    What is on record must not be held up by a registry that is down: the next change moves the aliases then.
    """
    from mlflow.exceptions import MlflowException

    newest = newest_change(context.store, context.settings.model_name)
    if newest is None:
        return
    try:
        Registry(context.settings).point_aliases(newest.serving.stable, newest.serving.canary)
    except MlflowException as error:
        uri = context.settings.tracking_uri
        log.warning("on record, but the registry %s keeps its aliases until the next change: %s", uri, error)
