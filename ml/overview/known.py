"""What is on record: everything that served, and every run in short."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from ml import layout
from ml.overview.reading import Attempt, attempt, join_problems
from ml.overview.views import Score
from ml.promotions import champion_of, parse_change
from ml.removed_runs import removed_runs
from ml.run_summaries import RunSummary
from ml.serving_state import ServingState

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml.context import Context
    from ml.promotions import Champion, Change
    from ml.records import Record, Records

__all__ = ["MOST_RUNS", "OnRecord", "Runs", "parsed", "read_changes", "read_runs", "score_of"]

#: Runs that are looked at: those whose summaries were written last.
MOST_RUNS = 500


@dataclass(frozen=True)
class OnRecord:
    """The record of what serves.

    Attributes:
        changes: those that can be read, the oldest first.
        problem: which cannot be read, in words.
        known: whether the newest can, which alone says what serves.
    """

    changes: tuple[Change, ...] = ()
    problem: str = ""
    known: bool = True

    @property
    def serving(self) -> ServingState | None:
        """What shall serve; None where that is not known."""
        if not self.known:
            return None
        return self.changes[-1].serving if self.changes else ServingState()

    @property
    def champion(self) -> Champion | None:
        """In production; None where there is none or that is not known."""
        return champion_of(self.changes) if self.known else None

    @cached_property
    def swaps(self) -> tuple[Change, ...]:
        """The records that made another version the stable one, the oldest first."""
        before = (None, *(change.serving.stable for change in self.changes))
        pairs = zip(before, self.changes, strict=False)
        return tuple(change for stable, change in pairs if change.version == change.serving.stable != stable)


@dataclass(frozen=True)
class Runs:
    """The runs that were decided on.

    Attributes:
        summaries: those that can be read, the newest first.
        problem: which cannot be read, in words.
        removed: ids, as the store spells them, of runs whose files were removed by retention.
    """

    summaries: tuple[RunSummary, ...] = ()
    problem: str = ""
    removed: frozenset[str] = frozenset()

    def has_files(self, run_id: str) -> bool:
        """Whether a run's files are there, as far as retention has not removed them."""
        return layout.safe_run_id(run_id) not in self.removed

    @cached_property
    def by_id(self) -> dict[str, RunSummary]:
        """By their ids."""
        return {summary.run_id: summary for summary in self.summaries}

    def of(self, run_id: str, variant: str) -> RunSummary | None:
        """The run that a candidate won; None where that is not known."""
        found = self.by_id.get(run_id)
        return found if found and found.variant == variant else None

    def score(self, run_id: str, variant: str) -> Score | None:
        """How good a candidate was in the run that it won; None where that is not known."""
        found = self.of(run_id, variant)
        return score_of(found) if found else None


def score_of(summary: RunSummary) -> Score:
    """The winner's."""
    return Score(summary.macro_f1, summary.macro_f1_interval, summary.accuracy, summary.accuracy_interval)


def read_changes(context: Context, records: Records) -> OnRecord:
    """The record of what serves; one that is damaged hides no other.

    Raises:
        StoreError: the store does not answer.
    """
    found = records.below(context.store, f"{layout.PROMOTIONS}{context.settings.model_name}/")
    read = [parsed(context, one, parse_change) for one in found]
    changes = tuple(one.value for one in read if not one.problem)
    return OnRecord(changes, join_problems(one.problem for one in read), not read or not read[-1].problem)


def read_runs(context: Context, records: Records) -> Runs:
    """The runs that were decided on, the newest 500.

    Raises:
        StoreError: the store does not answer.
    """
    found = records.below(context.store, layout.run_summary_key(context.settings.model_name, ""), MOST_RUNS)
    read = [parsed(context, one, RunSummary.from_dict) for one in found]
    summaries = sorted((one.value for one in read if not one.problem), key=lambda one: (one.at, one.run_id))
    problem = join_problems(one.problem for one in read)
    return Runs(tuple(reversed(summaries)), problem, removed_runs(context.store))


def parsed(context: Context, record: Record, parse: Callable[[Any, str], object]) -> Attempt:
    """A record as what it is to be, or why it is not.

    Args:
        context: whose store it was read from.
        record: of :meth:`ml.records.Records.below`.
        parse: from its document and its address.
    """
    if record.problem:
        return Attempt(None, record.problem)
    uri = context.store.uri(record.key)
    return attempt(uri, partial(parse, record.document, uri))
