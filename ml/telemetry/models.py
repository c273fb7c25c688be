"""Samples about the champion, the runs that were decided on, and the approvals that wait."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from ml import layout
from ml.leaderboard import row_of
from ml.overview.champion import champion_view
from ml.overview.choices import choices_view
from ml.overview.known import read_changes, read_runs
from ml.overview.reading import attempt, join_problems
from ml.promotions import promotion_of
from ml.telemetry.families import Sample
from ml.telemetry.parts import Reading

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from ml.context import Context
    from ml.overview.known import OnRecord, Runs
    from ml.overview.views import ChampionView, ChoicesView
    from ml.page_parts import Interval
    from ml.promotions import Champion
    from ml.records import Records
    from ml.run_summaries import RunSummary

__all__ = ["ACTIONS", "OUTCOMES", "read_models"]

ACTIONS = ("canary", "promote", "rollback", "withdraw")
#: What became of a run's winner; `held back` was cleared by the gate, and then not promoted.
OUTCOMES = ("promoted", "taken back", "rejected", "waiting", "held back")


def read_models(context: Context, records: Records, now: datetime) -> Reading:
    """Read the record of what serves and the summaries of runs.

    Raises:
        StoreError: the store does not answer.
    """
    on_record, runs = read_changes(context, records), read_runs(context, records)
    champion = champion_view(context, records, on_record, runs, now)
    choices = choices_view(context, on_record, runs)
    scored = attempt("Scores by class", lambda: list(_classes(context, records, on_record.champion)))
    samples = [
        *(_champion(champion) if on_record.known else ()),
        *(scored.value or ()),
        *_changes(on_record),
        *_runs(on_record, runs, choices),
        *_approvals(choices),
    ]
    return Reading(samples, join_problems([champion.problem, choices.problem, scored.problem]))


def _champion(view: ChampionView) -> Iterator[Sample]:
    yield Sample("quartet_champion_version", view.version or 0)
    yield Sample("quartet_canary_version", view.canary or 0)
    if view.since is None:
        return
    names = (str(view.version), view.variant, view.run_id, view.snapshot_id, view.weights, view.by)
    yield Sample("quartet_champion_info", 1, names)
    yield Sample("quartet_champion_since_timestamp_seconds", view.since.timestamp())
    if view.score is not None:
        yield Sample("quartet_champion_macro_f1", view.score.macro_f1)
        yield from _bounds("quartet_champion_macro_f1_bound", view.score.macro_f1_interval)
        yield Sample("quartet_champion_accuracy", view.score.accuracy)


def _classes(context: Context, records: Records, champion: Champion | None) -> Iterator[Sample]:
    if champion is None:
        return
    evaluation = records.once(context.store, layout.run_key(champion.run_id, "evaluation.json"))
    for row in row_of(evaluation, champion.variant)["metrics"]["report"]:
        yield Sample("quartet_champion_class_f1", row["f1"], (row["label"],))
        yield Sample("quartet_champion_class_recall", row["recall"], (row["label"],))


def _changes(on_record: OnRecord) -> Iterator[Sample]:
    counts: Counter[str] = Counter(change.action for change in on_record.changes)
    for action in ACTIONS:
        yield Sample("quartet_serving_changes_total", counts[action], (action,))


def _runs(on_record: OnRecord, runs: Runs, choices: ChoicesView) -> Iterator[Sample]:
    waiting = {one.run_id for one in choices.waiting}
    outcomes = {one.run_id: _outcome(one, on_record, waiting) for one in runs.summaries}
    counts = Counter(outcomes.values())
    for outcome in OUTCOMES:
        yield Sample("quartet_runs", counts[outcome], (outcome,))
    for newest in runs.summaries[:1]:
        yield Sample("quartet_run_timestamp_seconds", newest.at.timestamp())
        yield Sample("quartet_run_cleared", int(newest.cleared))
        yield Sample("quartet_run_macro_f1", newest.macro_f1)
        yield from _bounds("quartet_run_macro_f1_bound", newest.macro_f1_interval)
        names = (newest.run_id, newest.variant, newest.snapshot_id, outcomes[newest.run_id])
        yield Sample("quartet_run_info", 1, names)


def _outcome(summary: RunSummary, on_record: OnRecord, waiting: set[str]) -> str:
    if promotion_of(on_record.changes, summary.run_id, summary.variant):
        return "taken back" if summary.taken_back else "promoted"
    if summary.run_id in waiting:
        return "waiting"
    return "held back" if summary.cleared else "rejected"


def _approvals(choices: ChoicesView) -> Iterator[Sample]:
    yield Sample("quartet_approvals_waiting", len(choices.waiting))
    if choices.waiting:
        oldest = min(one.asked_at for one in choices.waiting)
        yield Sample("quartet_approval_asked_timestamp_seconds", oldest.timestamp())


def _bounds(name: str, interval: Interval) -> Iterator[Sample]:
    if interval is not None:
        for bound, value in zip(("lower", "upper"), interval, strict=True):
            yield Sample(name, value, (bound,))
