"""The champion, by the record of what serves."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ml import layout
from ml.candidates import RANDOM_WEIGHTS
from ml.leaderboard import interval_of, row_of
from ml.overview.known import score_of
from ml.overview.reading import attempt, join_problems
from ml.overview.views import ChampionView, Score

if TYPE_CHECKING:
    from datetime import datetime

    from ml.context import Context
    from ml.overview.known import OnRecord, Runs
    from ml.promotions import Champion
    from ml.records import Records

__all__ = ["champion_view"]


def champion_view(context: Context, records: Records, on_record: OnRecord, runs: Runs, now: datetime) -> ChampionView:
    """What the record says serves, with how good it is.

    Args:
        context: settings and store.
        records: that were read before.
        on_record: what serves.
        runs: in short; a champion whose run has no summary is looked up in its run.
        now: its age is counted to.
    """
    serving, champion = on_record.serving, on_record.champion
    if serving is None:
        return ChampionView(problem=f"What serves is not known. {on_record.problem}")
    named = ChampionView(
        version=serving.stable, previous=serving.previous, canary=serving.canary, problem=on_record.problem
    )
    swap = next((one for one in reversed(on_record.swaps) if one.version == serving.stable), None)
    if champion is None or swap is None:
        return named
    what = f"How good version {champion.version} is"
    found = attempt(what, lambda: _measured(context, records, runs, champion))
    score, weights = found.value or (None, "")
    return replace(
        named,
        variant=champion.variant,
        run_id=champion.run_id,
        snapshot_id=swap.snapshot_id,
        since=swap.when,
        age=now - swap.when,
        by=swap.by,
        reason=swap.reason,
        action=swap.action,
        score=score,
        weights=weights,
        weights_notice=RANDOM_WEIGHTS if weights == "random" else "",
        problem=join_problems([on_record.problem, found.problem]),
    )


def _measured(context: Context, records: Records, runs: Runs, champion: Champion) -> tuple[Score, str]:
    """Its score, and where its weights come from."""
    summary = runs.of(champion.run_id, champion.variant)
    if summary is not None:
        return score_of(summary), summary.weights
    row = row_of(records.get(context.store, layout.run_key(champion.run_id, "evaluation.json")), champion.variant)
    intervals = row["metrics"]["intervals"]
    macro_f1, accuracy = (interval_of(intervals[name]) for name in ("macro_f1", "accuracy"))
    return Score(row["macro_f1"], macro_f1, row["accuracy"], accuracy), row["weights"]
