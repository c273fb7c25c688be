"""Task ``anything_changed``: end a run that would train what an earlier one has trained."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from ml.plan import load_plan
from ml.promotions import load_changes
from ml.run_identity import find_precedent, stands

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml.context import Context

__all__ = ["run"]

log = logging.getLogger(__name__)


def run(context: Context, run_id: str) -> dict[str, Any]:
    """Compare a run's identity with those of the runs that the gate decided on.

    Args:
        context: the run's settings, and store.
        run_id: of a run that is split.

    Returns:
        ``run_id``, ``changed``: whether the run is to go on, and ``reason``.
    """
    plan = load_plan(context.store, run_id)
    changed, reason = _compare(context, run_id, plan)
    log.info("run %s: %s", run_id, reason)
    return {"run_id": run_id, "changed": changed, "reason": reason}


def _compare(context: Context, run_id: str, plan: Mapping[str, Any]) -> tuple[bool, str]:
    if plan["force"]:
        return True, "Goes on, whatever has changed: Force is ticked."
    earlier = find_precedent(context.store, plan["identity"], run_id)
    if earlier is None:
        return True, "Goes on: no earlier run had this snapshot, these settings and this code."
    standing = stands(context.store, earlier, load_changes(context.store, context.settings.model_name))
    if standing is None:
        return True, (
            f"Goes on: nothing changed since run {earlier.run_id}, but what that one came to is not what serves. "
            f"{earlier.reason}"
        )
    why = f" ({plan['reason']})" if plan["reason"] else ""
    return False, (
        f"Ends here, asked for by {plan['asked_by'] or 'somebody unknown'}{why}: nothing changed since run "
        f"{earlier.run_id}, and {standing}. The same snapshot, settings and code train the same heads. "
        "To train again, upload images, choose other settings, or tick Force (on the command line --force)."
    )
