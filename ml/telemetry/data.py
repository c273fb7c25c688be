"""Samples about snapshots, what the expectations said of them, the quarantine and the landing zone."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from ml import layout
from ml.overview.snapshots import data_view
from ml.sightings import fingerprint, is_labels, read_seen
from ml.snapshot_summaries import Verdict
from ml.telemetry.families import Sample
from ml.telemetry.parts import Reading

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ml.context import Context
    from ml.overview.views import SnapshotRow
    from ml.records import Records

__all__ = ["VERDICTS", "read_landing", "read_snapshots"]

VERDICTS: tuple[str, ...] = get_args(Verdict)


def read_snapshots(context: Context, records: Records) -> Reading:
    """Read what is known of the newest snapshots.

    Raises:
        StoreError: the store does not answer.
    """
    view = data_view(context, records)
    published = [row for row in view.snapshots if row.newest and row.at]
    validated = [row for row in view.snapshots if row.validation != "unknown"]
    samples = [sample for row in published for sample in _published(row)]
    if published:
        samples.append(Sample("quartet_objects_seen", view.seen))
        samples += [Sample("quartet_objects_quarantined", count, (reason,)) for reason, count in view.quarantine]
    samples += [sample for row in validated[:1] for sample in _validated(row)]
    return Reading(samples, view.problem)


def read_landing(context: Context) -> Reading:
    """List the landing zone and compare it with what the newest ingest saw.

    It costs a request for a thousand objects, and 8 bytes of memory for each that the newest ingest saw.

    Raises:
        DataError: what the newest ingest left is damaged.
        StoreError: the store does not answer.
    """
    seen = read_seen(context.store)
    new = [
        (info.size, info.last_modified.timestamp())
        for info in context.store.list(layout.LANDING)
        if not is_labels(info) and not seen.has(fingerprint(info.key, info.etag))
    ]
    samples = [
        Sample("quartet_landing_objects", len(new)),
        Sample("quartet_landing_bytes", sum(size for size, _ in new)),
    ]
    if new:
        samples.append(Sample("quartet_landing_oldest_timestamp_seconds", min(at for _, at in new)))
    return Reading(samples)


def _published(row: SnapshotRow) -> Iterator[Sample]:
    assert row.at is not None
    yield Sample("quartet_snapshot_info", 1, (row.snapshot_id,))
    yield Sample("quartet_snapshot_timestamp_seconds", row.at.timestamp())
    yield Sample("quartet_snapshot_all_images", row.images)
    for counts in row.counts:
        for split in ("train", "validation", "test"):
            yield Sample("quartet_snapshot_images", getattr(counts, split), (split, counts.label))
    yield Sample("quartet_snapshot_excluded_images", row.excluded)
    yield Sample("quartet_snapshot_added_images", row.added)


def _validated(row: SnapshotRow) -> Iterator[Sample]:
    yield Sample("quartet_validation_info", 1, (row.snapshot_id, row.validation))
    for verdict in VERDICTS:
        yield Sample("quartet_validation_verdict", int(verdict == row.validation), (verdict,))
    if row.at is not None:
        yield Sample("quartet_validation_snapshot_timestamp_seconds", row.at.timestamp())
    yield Sample("quartet_validation_checks", row.checks)
    yield Sample("quartet_validation_failed_checks", len(row.warnings), ("warning",))
    yield Sample("quartet_validation_failed_checks", len(row.critical), ("critical",))
