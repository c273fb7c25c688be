"""All parts of the page together: what does not rest on each other is read at the same time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from ml.overview.champion import champion_view
from ml.overview.choices import choices_view
from ml.overview.history import history_view, run_row
from ml.overview.known import OnRecord, Runs, read_changes, read_runs
from ml.overview.latest import latest_run
from ml.overview.pictures import pictures_view
from ml.overview.reading import attempt, join_problems
from ml.overview.served import ask_server, compare_with_record
from ml.overview.snapshots import data_view
from ml.overview.views import (
    ChampionView,
    ChoicesView,
    DataView,
    Headline,
    HistoryView,
    LatestRunView,
    Overview,
    PicturesView,
)
from ml.records import Records

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future
    from datetime import datetime

    from ml.context import Context

__all__ = ["load_headline", "load_overview"]

T = TypeVar("T")

#: What was read before in this process, for whichever page.
READ = Records()
#: Parts that are read at a time.
PARTS = 5


def load_overview(context: Context, now: datetime, records: Records = READ) -> Overview:
    """All that the Models page shows. What cannot be read is said in the part that it belongs to; nothing is raised.

    Args:
        context: settings and store.
        now: the moment, with a time zone.
        records: that were read before; of them only what has changed is read again.
    """
    with ThreadPoolExecutor(PARTS, thread_name_prefix="overview") as pool:

        def begin(what: str, read: Callable[[], T], empty: type[T]) -> Future[T]:
            return pool.submit(_part, what, read, empty)

        served = pool.submit(ask_server, context.settings)
        data = begin("The newest snapshots", lambda: data_view(context, records), DataView)
        on_record, runs = _on_record(context, records, pool)
        champion = begin("The champion", lambda: champion_view(context, records, on_record, runs, now), ChampionView)
        latest = begin("The latest run", lambda: latest_run(context, records, on_record, runs), LatestRunView)
        pictures = begin("Its pictures", lambda: pictures_view(context, records, on_record.champion), PicturesView)
        choices = begin("What can be done", lambda: choices_view(context, on_record, runs), ChoicesView)
        return Overview(
            model_name=context.settings.model_name,
            at=now,
            champion=champion.result(),
            served=compare_with_record(served.result(), on_record.serving),
            latest=latest.result(),
            history=_part("The history", lambda: history_view(on_record, runs), HistoryView),
            pictures=pictures.result(),
            data=data.result(),
            choices=choices.result(),
        )


def load_headline(context: Context, now: datetime, records: Records = READ) -> Headline:
    """What a widget shows, from fewer requests; arguments as of :func:`load_overview`."""
    with ThreadPoolExecutor(PARTS, thread_name_prefix="headline") as pool:
        served = pool.submit(ask_server, context.settings)
        on_record, runs = _on_record(context, records, pool)
        champion = _part("The champion", lambda: champion_view(context, records, on_record, runs, now), ChampionView)
        row = attempt(
            "The last decision", lambda: run_row(runs.summaries[0], on_record, runs) if runs.summaries else None
        )
        return Headline(
            model_name=context.settings.model_name,
            at=now,
            champion=champion,
            served=compare_with_record(served.result(), on_record.serving),
            run=row.value,
            problem=join_problems([champion.problem, runs.problem, row.problem]),
        )


def _on_record(context: Context, records: Records, pool: ThreadPoolExecutor) -> tuple[OnRecord, Runs]:
    """What everything else rests on."""
    runs = pool.submit(attempt, "The summaries of runs", lambda: read_runs(context, records))
    changes = attempt("The record of what serves", lambda: read_changes(context, records))
    found = runs.result()
    return (
        changes.value or OnRecord(problem=changes.problem, known=False),
        found.value or Runs(problem=found.problem),
    )


def _part(what: str, read: Callable[[], T], empty: type[T]) -> T:
    """A part of the page; an empty one with the problem where it cannot be read."""
    found = attempt(what, read)
    part: T = empty(problem=found.problem) if found.problem else found.value  # type: ignore[call-arg]
    return part
