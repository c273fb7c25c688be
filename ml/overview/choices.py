"""What the forms of the page offer: runs that wait, runs that could be promoted, versions that can be gone back to."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from ml.approval import find_approval, load_decision
from ml.overview.history import became_of
from ml.overview.reading import attempt, join_problems
from ml.overview.views import ChoicesView, PromotableRun, RollbackChoice, WaitingRun
from ml.promotions import promotion_of
from ml.publication import is_published
from ml.rollback import default_target
from ml.threads import map_ahead

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ml.context import Context
    from ml.overview.known import OnRecord, Runs
    from ml.promotions import Change
    from ml.run_summaries import RunSummary

__all__ = ["choices_view"]

MOST_WAITING, MOST_PROMOTABLE, MOST_VERSIONS = 10, 50, 8
READERS = 8


def choices_view(context: Context, on_record: OnRecord, runs: Runs) -> ChoicesView:
    """What can be chosen now; nothing that would change what serves, where that is not known."""
    waiting = attempt("Which runs wait", lambda: _waiting(context, on_record, runs))
    rollbacks = attempt("Which versions can be gone back to", lambda: tuple(_rollbacks(context, on_record, runs)))
    held = {one.run_id for one in waiting.value or ()}
    return ChoicesView(
        waiting=waiting.value or (),
        promotable=tuple(_promotable(on_record, runs, held))[:MOST_PROMOTABLE] if on_record.known else (),
        rollbacks=rollbacks.value or (),
        problem=join_problems([on_record.problem, runs.problem, waiting.problem, rollbacks.problem]),
    )


def _waiting(context: Context, on_record: OnRecord, runs: Runs) -> tuple[WaitingRun, ...]:
    """Those that waited when they were summarised, and do still."""
    asked = [
        one for one in runs.summaries if one.waits and runs.has_files(one.run_id) and not _promotion(on_record, one)
    ][:MOST_WAITING]
    found = map_ahead(lambda one: _if_waiting(context, one), asked, READERS, "approvals")
    return tuple(one for one in found if one is not None)


def _if_waiting(context: Context, summary: RunSummary) -> WaitingRun | None:
    approval = find_approval(context.store, summary.run_id, load_decision(context.store, summary.run_id))
    if approval is None or approval.answer is not None:
        return None
    asked_at = datetime.fromisoformat(approval.asked_at)
    return WaitingRun(summary.run_id, summary.variant, summary.macro_f1, asked_at)


def _promotable(on_record: OnRecord, runs: Runs, waiting: set[str]) -> Iterator[PromotableRun]:
    """Winners that were never promoted, do not wait, have figures that say something, and files to publish."""
    serving, champion = on_record.serving, on_record.champion
    version = champion.version if champion else None
    for summary in runs.summaries:
        if not summary.sound or not runs.has_files(summary.run_id):
            continue
        if summary.run_id in waiting or _promotion(on_record, summary):
            continue
        yield PromotableRun(
            summary.run_id,
            summary.variant,
            summary.at,
            summary.macro_f1,
            summary.macro_f1_interval,
            summary.cleared,
            became_of(summary, None, serving),
            against_the_gate=not summary.cleared or summary.compared != version,
        )


def _promotion(on_record: OnRecord, summary: RunSummary) -> Change | None:
    return promotion_of(on_record.changes, summary.run_id, summary.variant)


def _rollbacks(context: Context, on_record: OnRecord, runs: Runs) -> Iterator[RollbackChoice]:
    """Versions that were stable once and are whole, the default first; then the one that ends a trial."""
    serving, name = on_record.serving, context.settings.model_name
    if serving is None or serving.stable is None:
        return
    default = default_target(on_record.changes)
    by_version = {swap.version: swap for swap in on_record.swaps}
    stable = by_version.pop(serving.stable)
    latest = sorted(by_version, key=lambda version: (version != default, -by_version[version].number))[:MOST_VERSIONS]
    whole = map_ahead(lambda version: is_published(context.store, name, version), latest, READERS, "versions")
    for version in (one for one, there in zip(latest, whole, strict=True) if there):
        yield _rollback(by_version[version], runs, version == default)
    if serving.canary is not None:
        yield _rollback(stable, runs, default=False, ends_trial=True)


def _rollback(change: Change, runs: Runs, default: bool, ends_trial: bool = False) -> RollbackChoice:
    score = runs.score(change.run_id, change.variant)
    macro_f1 = score.macro_f1 if score else None
    return RollbackChoice(change.version, change.variant, change.run_id, macro_f1, default, ends_trial)
