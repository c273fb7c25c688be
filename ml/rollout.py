"""From a cleared winner to the stable version, one step after the other: what the command line does in one go."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ml.context import Context

__all__ = ["roll_out"]


def roll_out(context: Context, run_id: str) -> dict[str, Any]:
    """Publish, try beside the champion, make stable and watch.

    Returns:
        ``version`` that stays, None where there is none, its ``published`` number, and the ``reason``.

    Raises:
        DataError: as each step says.
        ServingError: as each step says.
    """
    from ml.steps import canary, promote, publish, watch

    published = publish.run(context, run_id)["version"]
    trial = canary.run(context, run_id, datetime.now(UTC))
    if not trial["passed"]:
        return {"version": None, "published": published, "reason": f"It did not stand its trial: {trial['reason']}"}
    promoted = promote.run(context, run_id, datetime.now(UTC))
    watched = watch.run(context, run_id)
    if not watched["kept"] and watched["rolled_back_to"] is not None:
        return {"version": None, "published": published, "reason": f"It was taken back: {watched['reason']}"}
    return {"version": promoted["version"], "published": published, "reason": watched["reason"]}
