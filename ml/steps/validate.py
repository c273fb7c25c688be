"""Task ``validate``: hold the snapshot against the expectations, and write its page."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ml import layout
from ml.errors import NotFoundError, ValidationFailedError
from ml.manifest import classes_of
from ml.quality import check_manifest
from ml.report import (
    SNAPSHOT_FIGURES,
    ExpectationView,
    Figure,
    QuarantineRow,
    SnapshotPage,
    render_snapshot_report,
    split_counts,
)
from ml.snapshots import load_snapshot
from ml.storage import dump_json

if TYPE_CHECKING:
    from ml.context import Context
    from ml.quality import CheckResult
    from ml.snapshots import Snapshot
    from ml.storage import Store

__all__ = ["run"]

log = logging.getLogger(__name__)


def run(context: Context, snapshot_id: str) -> dict[str, Any]:
    """Validate a snapshot.

    Returns:
        ``snapshot_id``, ``checks``, ``warnings`` (the expectations not met that only warn), ``observed`` (what was
        there instead, one for each warning) and ``report`` (a URI).

    Raises:
        ValidationFailedError: a critical expectation is not met; the page is written all the same.
    """
    snapshot = load_snapshot(context.store, snapshot_id)
    classes = classes_of(snapshot.manifest, context.settings)
    share = snapshot.record["quarantined"] / snapshot.record["seen"]
    results = check_manifest(snapshot.manifest, classes, share, context.settings)
    report = _write_report(context.store, snapshot, classes, results)
    failed = [result for result in results if not result.passed and result.severity == "critical"]
    warnings = [result for result in results if not result.passed and result.severity != "critical"]
    for warning in warnings:
        log.warning("snapshot %s: %s: %s", snapshot_id, warning.expectation, warning.observed)
    if failed:
        raise ValidationFailedError(
            f"Snapshot {snapshot_id} does not meet {len(failed)} critical expectation(s): "
            + "; ".join(f"{result.expectation} ({result.observed})" for result in failed),
            f"See {report}; add or mend images in the landing zone, or change `validation` or `classes`.",
            facts={"snapshot": snapshot_id} | {result.expectation: result.observed for result in failed},
            links={"report": report},
        )
    log.info("snapshot %s: %d checks, %d warnings, %s", snapshot_id, len(results), len(warnings), report)
    return {
        "snapshot_id": snapshot_id,
        "checks": len(results),
        "warnings": [warning.expectation for warning in warnings],
        "observed": [warning.observed for warning in warnings],
        "report": report,
    }


def _write_report(store: Store, snapshot: Snapshot, classes: tuple[str, ...], results: list[CheckResult]) -> str:
    prefix = layout.snapshot_key(snapshot.snapshot_id, "report/")
    store.put(f"{prefix}validation.json", dump_json([result.to_dict() for result in results]))
    page = SnapshotPage(
        snapshot_id=snapshot.snapshot_id,
        parent=snapshot.record["parent"],
        created_at=datetime.fromisoformat(snapshot.record["created_at"]),
        counts=split_counts(snapshot.manifest, classes),
        quarantine=tuple(QuarantineRow(*item) for item in snapshot.record["quarantined_by_reason"].items()),
        validation=tuple(
            ExpectationView(result.expectation, result.severity, result.passed, result.observed) for result in results
        ),
        figures=_figures(store, prefix),
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
