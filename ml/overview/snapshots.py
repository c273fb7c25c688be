"""The newest snapshots, also such as were not published, and the quarantine."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from ml import layout
from ml.overview.reading import attempt, join_problems
from ml.overview.views import DataView, SnapshotRow
from ml.page_parts import SplitCounts
from ml.snapshot_pointer import number_of, read_pointer
from ml.threads import map_ahead

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from ml.context import Context
    from ml.overview.views import Validation
    from ml.records import Records

__all__ = ["data_view"]

#: Numbers of snapshots that are looked at. Of several with one number one at most was published, and only one number
#: lies above that of the newest published one.
NUMBERS = 10
READERS = 8
RECORD, VALIDATION, PAGE = "snapshot.json", "report/validation.json", "report/index.html"
DATA_DOCS = "report/gx/"


def data_view(context: Context, records: Records) -> DataView:
    """Read what is known of the newest snapshots.

    Raises:
        StoreError: the store does not answer.
    """
    pointer = attempt("Which snapshot is the newest", lambda: read_pointer(context.store)[0])
    newest: str = pointer.value or ""
    files = _files(context, newest)
    found = map_ahead(lambda one: _row(context, records, one, files[one]), files, READERS, "snapshots")
    rows = _published(sorted(found, key=_place, reverse=True), newest)
    key = layout.snapshot_key(newest, RECORD)
    quarantine = attempt("The quarantine", lambda: _quarantine(records.get(context.store, key) if newest else None))
    seen, refused, reasons = quarantine.value or (0, 0, ())
    return DataView(newest, rows, seen, refused, reasons, join_problems([pointer.problem, quarantine.problem]))


def _files(context: Context, newest: str) -> dict[str, set[str]]:
    """Names of the files of each of the newest snapshots.

    Listing all snapshots would take seconds: each has a hundred objects, with the pages of Great Expectations.
    """
    above = number_of(newest) + 1
    prefixes = [f"{layout.SNAPSHOTS}{number:06d}-" for number in range(above, max(0, above - NUMBERS), -1)]
    files: dict[str, set[str]] = defaultdict(set)
    for keys in map_ahead(partial(_keys, context), prefixes, READERS, "snapshots", NUMBERS):
        for key in keys:
            snapshot_id, _, name = key.removeprefix(layout.SNAPSHOTS).partition("/")
            files[snapshot_id].add(name)
    return files


def _keys(context: Context, prefix: str) -> list[str]:
    return [info.key for info in context.store.list(prefix)]


def _row(context: Context, records: Records, snapshot_id: str, files: AbstractSet[str]) -> SnapshotRow:
    """What a snapshot's own files say."""

    def read(name: str) -> Any:
        return records.get(context.store, layout.snapshot_key(snapshot_id, name))

    row = attempt(f"Snapshot {snapshot_id}", lambda: _recorded(snapshot_id, read(RECORD)))
    shown = row.value or SnapshotRow(snapshot_id)
    shown = replace(shown, has_report=PAGE in files, has_data_docs=any(name.startswith(DATA_DOCS) for name in files))
    if VALIDATION not in files:
        return replace(shown, problem=row.problem)
    checked = attempt(f"The validation of {snapshot_id}", lambda: _validated(shown, read(VALIDATION)))
    return replace(checked.value or shown, problem=join_problems([row.problem, checked.problem]))


def _recorded(snapshot_id: str, record: Mapping[str, Any]) -> SnapshotRow:
    counts = record.get("images_by_class", {})  # records from before they were counted by class have none
    return SnapshotRow(
        snapshot_id,
        parent=record["parent"],
        at=datetime.fromisoformat(record["created_at"]),
        images=record["images"],
        added=record["added"],
        counts=tuple(
            SplitCounts(label, *(counts[label].get(split, 0) for split in SplitCounts._fields[1:]))
            for label in sorted(counts)
        ),
        excluded=record["excluded"],
        notes=tuple(record["notes"]),
    )


def _validated(row: SnapshotRow, results: Sequence[Mapping[str, Any]]) -> SnapshotRow:
    """With what was expected of it and not found, as the task `validate` names it."""
    failed = [one for one in results if one["status"] == "failed"]
    critical = tuple(_words(one) for one in failed if one["severity"] == "critical")
    warnings = tuple(_words(one) for one in failed if one["severity"] != "critical")
    verdict: Validation = "failed" if critical else "warned" if warnings else "passed"
    return replace(row, validation=verdict, checks=len(results), warnings=warnings, critical=critical)


def _words(result: Mapping[str, Any]) -> str:
    return f"{result['title']}: {result['required']} ({result['observed']})"


def _place(row: SnapshotRow) -> tuple[int, str]:
    """Where it stands among the others: by its number, then by its date."""
    return number_of(row.snapshot_id), row.at.isoformat() if row.at else ""


def _published(rows: Iterable[SnapshotRow], newest: str) -> tuple[SnapshotRow, ...]:
    """With the marks of the newest published one and those that it grew from; rows the newest first."""
    marked, published = [], newest
    for row in rows:
        if row.snapshot_id == published:
            marked.append(replace(row, published=True, newest=row.snapshot_id == newest))
            published = row.parent or ""
        else:
            marked.append(row)
    return tuple(marked)


def _quarantine(record: Mapping[str, Any] | None) -> tuple[int, int, tuple[tuple[str, int], ...]]:
    """Objects seen and refused, and reasons with their numbers; the most frequent first."""
    if record is None:
        return 0, 0, ()
    reasons = sorted(record["quarantined_by_reason"].items(), key=lambda item: (-item[1], item[0]))
    return record["seen"], record["quarantined"], tuple(reasons)
