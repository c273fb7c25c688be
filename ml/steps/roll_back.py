"""Task ``roll_back``: make an earlier version the stable one, with the reason on record."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from ml.promoting import follow_record
from ml.rollback import roll_back
from ml.serving_state import STABLE

if TYPE_CHECKING:
    from datetime import datetime

    from ml.context import Context
    from ml.rollback import Request

__all__ = ["follow", "run", "wait_until_served"]

log = logging.getLogger(__name__)


def run(context: Context, request: Request, now: datetime) -> dict[str, Any]:
    """Go back to a version, by default to the one that served before; the servers follow by themselves.

    Returns:
        ``action`` (rollback, or withdraw where a trial was ended), ``version`` that is to serve, ``from`` which one,
        ``run_id`` and ``variant`` of what was gone back to or withdrawn, ``reason``, ``by`` and ``number`` of the
        record.

    Raises:
        DataError: see :func:`ml.rollback.roll_back`.
        ConflictError: others keep changing what serves.
    """
    change = roll_back(context, request, now)
    assert change is not None, "it was expected to be no certain version"
    stable = change.serving.stable
    log.info("%s: version %s serves, before it %s: %s", change.action, stable, change.evidence["from"], change.reason)
    return {
        "action": change.action,
        "version": stable,
        "from": change.evidence["from"],
        "run_id": change.run_id,
        "variant": change.variant,
        "reason": change.reason,
        "by": change.by,
        "number": change.number,
    }


def follow(context: Context) -> None:
    """Let the registry's aliases follow; where it is down, the next change does it."""
    follow_record(context)


def wait_until_served(context: Context, version: int, seconds: float) -> float:
    """Wait until the model server answers with a version as the stable one; how many seconds that took.

    Raises:
        ServingError: it does not within the limit.
    """
    from serving.client import GrpcClient
    from serving.trial import wait_for_label

    with GrpcClient.from_settings(context.settings) as client:
        return wait_for_label(client, STABLE, version, seconds)
