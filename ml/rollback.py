"""Going back to a version that served before."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml.errors import DataError
from ml.promoting import append_decided
from ml.promotions import Change, rollback_target
from ml.publication import is_published

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from ml.context import Context

__all__ = ["Request", "default_target", "roll_back"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Request:
    """Who wants to go back, where to and why.

    Attributes:
        reason: why, for people.
        by: who decided.
        version: any published one that was promoted or on trial; None goes to the one that served before.
        expected: do it only while this is the stable version.
        id: of whoever may ask again after having been killed; what is on record under it is not done twice.
    """

    reason: str
    by: str
    version: int | None = None
    expected: int | None = None
    id: str | None = None


def default_target(changes: Sequence[Change]) -> int | None:
    """The version that a rollback goes to when none is named; None where there is none to go back to."""
    serving = changes[-1].serving if changes else None
    if serving is None or serving.stable is None:
        return None
    return serving.previous if serving.previous is not None else rollback_target(changes, serving.stable)


def roll_back(context: Context, request: Request, now: datetime) -> Change | None:
    """Make an earlier version the stable one, and record why; :func:`ml.promoting.follow_record` should come after.

    A trial ends with it. To go back to the stable version is to end a trial, and nothing else.

    Args:
        context: settings and store.
        request: what is wanted.
        now: when.

    Returns:
        The record; None when ``expected`` is not stable any more, or there is nothing to go back to for a caller that
        expects a version.

    Raises:
        DataError: no reason, nobody named, nothing to go back to, or the version is unknown, serves already, or is
            not whole in the store.
        ConflictError: others keep changing what serves.
    """
    if not request.reason.strip() or not request.by.strip():
        raise DataError("A rollback needs a reason and somebody who decides.", "Give both: they are kept on record.")
    done: list[Change] = []

    def decide(changes: list[Change]) -> Change | None:
        done[:] = [one for one in changes if request.id is not None and one.evidence.get("request") == request.id]
        serving = changes[-1].serving if changes else None
        if done or (request.expected is not None and (serving is None or serving.stable != request.expected)):
            return None
        target = request.version if request.version is not None else default_target(changes)
        if target is None and request.expected is not None:
            log.warning("version %d stays: there is no earlier version to go back to", request.expected)
            return None
        return _next(context, changes, target, request, now)

    change = append_decided(context.store, context.settings.model_name, decide)
    return done[0] if done else change


def _next(context: Context, changes: Sequence[Change], target: int | None, request: Request, now: datetime) -> Change:
    name = context.settings.model_name
    if target is None:
        raise DataError(f"No earlier version of {name} has served.", "Name a version; see `quartet history`.")
    before = changes[-1].serving if changes else None
    trial = before is not None and target == before.stable and before.canary is not None
    subject = before.canary if trial and before is not None else target
    known = next((change for change in changes if change.version == subject), None)
    if known is None or before is None:
        versions = ", ".join(map(str, sorted({change.version for change in changes}))) or "none"
        raise DataError(f"Version {target} of {name} was never on trial or promoted.", f"Known versions: {versions}.")
    if not trial and not is_published(context.store, name, target):
        raise DataError(f"Version {target} of {name} is not whole in {context.store.url}.", "Name another version.")
    return Change(
        number=changes[-1].number + 1,
        action="withdraw" if trial else "rollback",
        version=known.version,
        serving=before.withdraw(known.version) if trial else before.roll_back(target, rollback_target(changes, target)),
        run_id=known.run_id,
        variant=known.variant,
        snapshot_id=known.snapshot_id,
        by=request.by,
        reason=request.reason,
        at=now.isoformat(),
        evidence={"from": before.stable, "request": request.id},
    )
