"""The newest snapshots, also such as were not published, and the quarantine."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from ml import layout
from ml.errors import NotFoundError
from ml.overview.known import parsed
from ml.overview.reading import attempt, join_problems
from ml.overview.views import DataView, SnapshotRow
from ml.snapshot_pointer import number_of, read_pointer
from ml.snapshot_summaries import SnapshotSummary, checked, unchecked

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml.context import Context
    from ml.records import Records

__all__ = ["data_view"]

SHOWN = 10


def data_view(context: Context, records: Records) -> DataView:
    """Read what is known of the newest snapshots.

    Raises:
        StoreError: the store does not answer.
    """
    pointer = attempt("Which snapshot is the newest", lambda: read_pointer(context.store)[0])
    newest: str = pointer.value or ""
    found = records.below(context.store, layout.SNAPSHOT_SUMMARIES)
    read = [parsed(context, one, SnapshotSummary.from_dict) for one in found]
    known = {one.value.snapshot_id: one.value for one in read if not one.problem}
    published, broken = _published(context, records, known, newest)
    rows = [
        _row(one, one.snapshot_id in published, one.snapshot_id == newest) for one in {**known, **published}.values()
    ]
    counted = published.get(newest)
    return DataView(
        published=newest,
        snapshots=tuple(sorted([*rows, *broken], key=_place, reverse=True)[:SHOWN]),
        seen=counted.seen if counted else 0,
        quarantined=counted.quarantined if counted else 0,
        quarantine=_by_frequency(counted.quarantined_by_reason) if counted else (),
        problem=join_problems([pointer.problem, *(one.problem for one in broken), *(one.problem for one in read)]),
    )


def _published(
    context: Context, records: Records, known: Mapping[str, SnapshotSummary], newest: str
) -> tuple[dict[str, SnapshotSummary], list[SnapshotRow]]:
    """The newest published snapshot and those that it grew from, as many as are shown; and the one of which nothing
    can be read any more, where the line breaks off.

    One without a summary was not validated, as is what `quartet forget` publishes, or is older than summaries are.
    """
    line: dict[str, SnapshotSummary] = {}
    snapshot_id: str | None = newest or None
    while snapshot_id is not None and len(line) < SHOWN:
        summary = known.get(snapshot_id)
        if summary is None:
            looked_up = attempt(f"Snapshot {snapshot_id}", partial(_look_up, context, records, snapshot_id))
            if looked_up.problem:
                broken = SnapshotRow(
                    snapshot_id, published=True, newest=snapshot_id == newest, problem=looked_up.problem
                )
                return line, [broken]
            summary = looked_up.value
        line[snapshot_id] = summary
        snapshot_id = summary.parent
    return line, []


def _look_up(context: Context, records: Records, snapshot_id: str) -> SnapshotSummary:
    """What the snapshot's own folder says."""
    summary = unchecked(records.once(context.store, layout.snapshot_key(snapshot_id, "snapshot.json")))
    try:
        results = records.get(context.store, layout.snapshot_key(snapshot_id, "report/validation.json"))
    except NotFoundError:
        return summary
    return replace(summary, checked=checked(results, has_report=True, has_data_docs=False))


def _row(summary: SnapshotSummary, published: bool, newest: bool) -> SnapshotRow:
    outcome = summary.checked
    return SnapshotRow(
        snapshot_id=summary.snapshot_id,
        parent=summary.parent,
        at=datetime.fromisoformat(summary.created_at),
        images=summary.images,
        added=summary.added,
        counts=summary.counts,
        excluded=summary.excluded,
        published=published,
        newest=newest,
        validation=outcome.verdict,
        checks=outcome.checks,
        warnings=outcome.warnings,
        critical=outcome.critical,
        has_report=outcome.has_report,
        has_data_docs=outcome.has_data_docs,
        notes=summary.notes,
    )


def _place(row: SnapshotRow) -> tuple[int, str]:
    """Where it stands among the others: by its number, then by its date."""
    return number_of(row.snapshot_id), row.at.isoformat() if row.at else ""


def _by_frequency(counts: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
