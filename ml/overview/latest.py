"""The run that was decided on last: its leaderboard, the gate's rules, and what became of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml import layout
from ml.leaderboard import champion_row, leaderboard_rows
from ml.overview.history import became_of
from ml.overview.reading import attempt, join_problems
from ml.overview.views import GateView, LatestRunView
from ml.promotions import promotion_of
from ml.run_outcome import load_outcome

if TYPE_CHECKING:
    from ml.context import Context
    from ml.overview.known import OnRecord, Runs
    from ml.page_parts import LeaderboardRow
    from ml.records import Records

__all__ = ["latest_run"]


def latest_run(context: Context, records: Records, on_record: OnRecord, runs: Runs) -> LatestRunView:
    """Read the newest run; where no run has a summary, that of the last promotion."""
    summary = next(iter(runs.summaries), None)
    promoted = next((one for one in reversed(on_record.changes) if one.action == "promote"), None)
    newest = summary or promoted
    if newest is None:
        return LatestRunView(problem=runs.problem)
    run_id = newest.run_id
    board = attempt(f"The evaluation of run {run_id}", lambda: _board(context, records, run_id))
    gate = attempt(f"The decision on run {run_id}", lambda: _gate(context, on_record, run_id))
    leaderboard, champion, version = board.value or ((), None, None)
    return LatestRunView(
        run_id=run_id,
        snapshot_id=newest.snapshot_id,
        at=summary.at if summary else None,
        leaderboard=leaderboard,
        champion=champion,
        champion_version=version,
        gate=gate.value,
        problem=join_problems([board.problem, gate.problem, runs.problem]),
    )


def _board(
    context: Context, records: Records, run_id: str
) -> tuple[tuple[LeaderboardRow, ...], LeaderboardRow | None, int | None]:
    """The candidates; the champion of that time, and its version."""
    evaluation = records.get(context.store, layout.run_key(run_id, "evaluation.json"))
    champion = evaluation["champion"]
    return leaderboard_rows(evaluation), champion_row(evaluation), champion and int(champion["version"])


def _gate(context: Context, on_record: OnRecord, run_id: str) -> GateView:
    outcome = load_outcome(context.store, run_id)
    promotion = promotion_of(on_record.changes, run_id, outcome.variant)
    return GateView(
        cleared=outcome.cleared,
        reason=outcome.decided.document["reason"],
        rules=outcome.rules,
        approval=str(outcome.approval or ""),
        waits=outcome.waits,
        published=outcome.published,
        promoted=promotion.version if promotion else None,
        taken_back=outcome.taken_back,
        stages=(*((str(outcome.order),) if outcome.order else ()), *outcome.stages),
        outcome=became_of(outcome, promotion, on_record.serving),
    )
