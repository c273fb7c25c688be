"""What served when, and what was trained: the newest first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml.overview.known import score_of
from ml.overview.reading import join_problems
from ml.overview.views import ChangeView, HistoryView, Point, RunRow
from ml.promotions import promotion_of

if TYPE_CHECKING:
    from ml.overview.known import OnRecord, Runs
    from ml.promotions import Change
    from ml.run_outcome import RunOutcome
    from ml.run_summaries import RunSummary
    from ml.serving_state import ServingState

__all__ = ["became_of", "history_view", "run_row"]


def history_view(on_record: OnRecord, runs: Runs) -> HistoryView:
    """All of it, from what is on record."""
    return HistoryView(
        changes=tuple(_change(change, runs) for change in reversed(on_record.changes)),
        points=tuple(_point(change, runs) for change in on_record.swaps),
        runs=tuple(run_row(summary, on_record, runs) for summary in runs.summaries),
        problem=join_problems([on_record.problem, runs.problem]),
    )


def run_row(summary: RunSummary, on_record: OnRecord, runs: Runs) -> RunRow:
    """A run in short, with what became of its winner since."""
    promotion = promotion_of(on_record.changes, summary.run_id, summary.variant)
    serving = on_record.serving
    return RunRow(
        run_id=summary.run_id,
        at=summary.at,
        snapshot_id=summary.snapshot_id,
        variant=summary.variant,
        score=score_of(summary),
        weights=summary.weights,
        cleared=summary.cleared,
        promoted=promotion.version if promotion else None,
        serves=promotion is not None and serving is not None and serving.stable == promotion.version,
        outcome=became_of(summary, promotion, serving),
        removed=not runs.has_files(summary.run_id),
    )


def became_of(found: RunSummary | RunOutcome, promotion: Change | None, serving: ServingState | None) -> str:
    """What became of a run's winner, in a sentence.

    Args:
        found: what the run's own steps tell.
        promotion: the record that made it the champion; None where there is none.
        serving: what serves now; None where that is not known.
    """
    if promotion is not None:
        if serving is not None and serving.stable == promotion.version:
            return f"Promoted as version {promotion.version}, which serves now."
        end = ", and taken back by the watch" if found.taken_back else ""
        return f"Promoted as version {promotion.version}{end}."
    if found.held_back:
        return found.held_back
    if found.published is None:
        return "Cleared, but not published."
    if serving is not None and serving.canary == found.published:
        return f"On trial as version {found.published}."
    return f"Published as version {found.published}, but not promoted."


def _change(change: Change, runs: Runs) -> ChangeView:
    score = runs.score(change.run_id, change.variant)
    return ChangeView(
        number=change.number,
        action=change.action,
        version=change.version,
        variant=change.variant,
        run_id=change.run_id,
        snapshot_id=change.snapshot_id,
        by=change.by,
        reason=change.reason,
        at=change.when,
        stable=change.serving.stable,
        canary=change.serving.canary,
        previous=change.serving.previous,
        macro_f1=score.macro_f1 if score else None,
        macro_f1_interval=score.macro_f1_interval if score else None,
    )


def _point(change: Change, runs: Runs) -> Point:
    score = runs.score(change.run_id, change.variant)
    return Point(
        change.when,
        change.version,
        change.action,
        change.run_id,
        change.variant,
        score.macro_f1 if score else None,
        score.macro_f1_interval if score else None,
    )
