"""Going back to a version that served before."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ml.errors import ConflictError, DataError
from ml.promotions import Change, append_change, load_changes, rollback_target
from ml.publication import is_published

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from ml.context import Context

__all__ = ["roll_back"]

log = logging.getLogger(__name__)

TRIES = 10


def roll_back(
    context: Context, version: int | None, reason: str, by: str, now: datetime, expected: int | None = None
) -> Change | None:
    """Make an earlier version the stable one, and record why; :func:`ml.promoting.follow_record` should come after.

    Args:
        context: settings and store.
        version: any published one that was promoted or on trial; None goes to the one that served before.
        reason: why, for people.
        by: who decided.
        now: when.
        expected: do it only while this is the stable version.

    Returns:
        The record; None when ``expected`` is not stable any more, or there is no version to go back to for a caller
        that expects one.

    Raises:
        DataError: no reason, nobody named, nothing to go back to, or the version is unknown, serves already, or is
            not whole in the store.
    """
    if not reason.strip() or not by.strip():
        raise DataError("A rollback needs a reason and somebody who decides.", "Give both: they are kept on record.")
    store, name = context.store, context.settings.model_name
    for attempt in range(TRIES):
        changes = load_changes(store, name)
        serving = changes[-1].serving if changes else None
        if expected is not None and (serving is None or serving.stable != expected):
            return None
        target = version if version is not None else _previous(changes)
        if target is None and expected is not None:
            log.warning("version %d stays: there is no earlier version to go back to", expected)
            return None
        try:
            change = _next(context, changes, target, reason, by, now)
            append_change(store, name, change)
        except ConflictError:
            if attempt == TRIES - 1:
                raise
            continue
        return change
    return None


def _previous(changes: Sequence[Change]) -> int | None:
    serving = changes[-1].serving if changes else None
    if serving is None or serving.stable is None:
        return None
    return serving.previous if serving.previous is not None else rollback_target(changes, serving.stable)


def _next(
    context: Context, changes: Sequence[Change], target: int | None, reason: str, by: str, now: datetime
) -> Change:
    name = context.settings.model_name
    if target is None:
        raise DataError(f"No earlier version of {name} has served.", "Name a version; see `quartet history`.")
    known = next((change for change in changes if change.version == target), None)
    if known is None:
        versions = ", ".join(map(str, sorted({change.version for change in changes}))) or "none"
        raise DataError(f"Version {target} of {name} was never on trial or promoted.", f"Known versions: {versions}.")
    if not is_published(context.store, name, target):
        raise DataError(f"Version {target} of {name} is not whole in {context.store.url}.", "Name another version.")
    return Change(
        number=changes[-1].number + 1,
        action="rollback",
        version=target,
        serving=changes[-1].serving.roll_back(target, rollback_target(changes, target)),
        run_id=known.run_id,
        variant=known.variant,
        snapshot_id=known.snapshot_id,
        by=by,
        reason=reason,
        at=now.isoformat(),
        evidence={"from": changes[-1].serving.stable},
    )
