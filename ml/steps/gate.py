"""Task ``gate``: decide whether the winner is promoted."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from ml import layout
from ml.gating import decide
from ml.storage import dump_json, read_json

if TYPE_CHECKING:
    from ml.context import Context

__all__ = ["run"]

log = logging.getLogger(__name__)


def run(context: Context, run_id: str) -> dict[str, Any]:
    """Apply the gate's rules to the run's winner.

    Returns:
        ``run_id``, ``variant``, ``promoted``, ``reason`` and ``rules``.
    """
    evaluation = read_json(context.store, layout.run_key(run_id, "evaluation.json"))
    winner = next(row for row in evaluation["leaderboard"] if row["variant"] == evaluation["chosen"])
    champion = evaluation["champion"]
    decision = decide(
        winner["metrics"], champion and champion["metrics"], context.settings.gate, winner.get("latency_ms_p95")
    )
    document = {"run_id": run_id, "variant": winner["variant"], **decision.to_dict()}
    context.store.put(layout.run_key(run_id, "decision.json"), dump_json(document))
    log.info("run %s: %s %s", run_id, winner["variant"], decision.reason)
    return document
