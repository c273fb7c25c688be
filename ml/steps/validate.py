"""Task ``validate``: hold the snapshot against the expectations, and write its page."""

from __future__ import annotations

import logging
import tempfile
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml import layout
from ml.data_docs import store_data_docs
from ml.errors import NotFoundError, ValidationFailedError
from ml.feature_drift import measure_feature_drift
from ml.manifest import classes_of
from ml.measures import count_arrivals
from ml.page_parts import SNAPSHOT_FIGURES
from ml.quality import check_snapshot
from ml.report import Figure, split_counts
from ml.snapshot_report import SnapshotPage, render_snapshot_report, shown_images, topic_views
from ml.snapshot_summaries import checked, unchecked, write_snapshot_summary
from ml.snapshots import Snapshot
from ml.storage import dump_json
from ml.thumbnails import load_thumbnails

if TYPE_CHECKING:
    from ml.context import Context
    from ml.quality import CheckResult
    from ml.storage import Store

__all__ = ["run"]

log = logging.getLogger(__name__)


def run(context: Context, snapshot_id: str) -> dict[str, Any]:
    """Validate a snapshot, and write its page and what the Models page shows of it.

    Returns:
        ``snapshot_id``, ``checks``, ``warnings`` (the expectations not met that only warn), ``observed`` (what was
        there instead, one for each warning), ``not_measured`` and ``report`` (a URI).

    Raises:
        ValidationFailedError: a critical expectation is not met; the page is written all the same.
    """
    snapshot = Snapshot(context.store, snapshot_id)
    results, docs = _check(context, snapshot)
    report = _write_report(context, snapshot, results, docs)
    _summarise(context, snapshot, results, docs is not None)
    failed = [result for result in results if result.status == "failed"]
    critical = [result for result in failed if result.severity == "critical"]
    warnings = [result for result in failed if result.severity != "critical"]
    unmeasured = [result for result in results if result.status == "not measured"]
    for result in (*warnings, *unmeasured):
        level = logging.WARNING if result.status == "failed" else logging.INFO
        log.log(level, "snapshot %s: %s (%s)", snapshot_id, result.expectation, result.observed)
    if critical:
        raise ValidationFailedError(
            f"Snapshot {snapshot_id} does not meet {len(critical)} critical expectation(s): "
            + "; ".join(f"{result.expectation} ({result.observed})" for result in critical),
            f"See {report}; add or mend images in the landing zone, or change `validation` or `classes`.",
            facts={"snapshot": snapshot_id} | {result.expectation: result.observed for result in critical},
            links={"report": report},
        )
    log.info("snapshot %s: %d checks, %d warnings, %s", snapshot_id, len(results), len(warnings), report)
    return {
        "snapshot_id": snapshot_id,
        "checks": len(results),
        "warnings": [result.expectation for result in warnings],
        "observed": [result.observed for result in warnings],
        "not_measured": [result.title for result in unmeasured],
        "report": report,
    }


def _check(context: Context, snapshot: Snapshot) -> tuple[list[CheckResult], str | None]:
    """The outcomes, and where Great Expectations' own pages begin."""
    parent_id = snapshot.record["parent"]
    parent = Snapshot(context.store, parent_id).manifest if parent_id else None
    measures = [measure_feature_drift(context, snapshot)]
    if not context.settings.validation.data_docs:
        return check_snapshot(snapshot, parent, context.settings, measures), None
    with tempfile.TemporaryDirectory() as folder:
        results = check_snapshot(snapshot, parent, context.settings, measures, Path(folder))
        prefix = layout.snapshot_key(snapshot.snapshot_id, "report/gx/")
        return results, store_data_docs(context.store, Path(folder), prefix)


def _summarise(context: Context, snapshot: Snapshot, results: list[CheckResult], has_data_docs: bool) -> None:
    """Keep what the Models page shows of it."""
    manifest = snapshot.manifest
    outcome = checked([result.to_dict() for result in results], has_report=True, has_data_docs=has_data_docs)
    counts = split_counts(manifest, classes_of(manifest, context.settings))
    write_snapshot_summary(context.store, replace(unchecked(snapshot.record), counts=counts, checked=outcome))


def _write_report(context: Context, snapshot: Snapshot, results: list[CheckResult], docs: str | None) -> str:
    store, manifest, ledger = context.store, snapshot.manifest, snapshot.ledger
    prefix = layout.snapshot_key(snapshot.snapshot_id, "report/")
    store.put(f"{prefix}validation.json", dump_json([result.to_dict() for result in results]))
    pictured = shown_images(results)
    shown = manifest[manifest["image_id"].isin(pictured)]
    labels = dict(zip(shown["image_id"], shown["label"], strict=True))
    uris = dict(zip(shown["image_id"], shown["uri"], strict=True))
    arrived = manifest["snapshot"] == snapshot.snapshot_id
    page = SnapshotPage(
        snapshot_id=snapshot.snapshot_id,
        parent=snapshot.record["parent"],
        created_at=datetime.fromisoformat(snapshot.record["created_at"]),
        counts=split_counts(manifest, classes_of(manifest, context.settings)),
        now=count_arrivals(ledger[ledger["snapshot"] == snapshot.snapshot_id], manifest[arrived]),
        overall=count_arrivals(ledger, manifest),
        topics=topic_views(results, labels, load_thumbnails(store, uris, pictured)),
        figures=_figures(store, prefix),
        notices=tuple(snapshot.record["notes"]),
        reason=snapshot.record.get("reason", ""),
        asked_by=snapshot.record.get("asked_by", ""),
        docs=docs and docs.removeprefix(prefix),
    )
    store.put(f"{prefix}index.html", render_snapshot_report(page).encode())
    return store.uri(f"{prefix}index.html")


def _figures(store: Store, prefix: str) -> tuple[Figure, ...]:
    figures = []
    for name, title, alt in SNAPSHOT_FIGURES:
        try:
            figures.append(Figure(title, store.get(f"{prefix}{name}"), alt))
        except NotFoundError:
            log.warning("%s has no %s: `describe` has not run", prefix, name)
    return tuple(figures)
