"""Task ``measure_drift``: what was logged of requests against what the served version was made from."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from ml import layout
from ml.measures import PROPERTIES
from ml.plots.style import png_bytes
from ml.promotions import load_changes
from ml.reference import load_reference, rows_of_version
from ml.request_drift import judge_drift, stack_probabilities
from ml.request_store import read_requests
from ml.storage import dump_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    import pandas as pd
    from matplotlib.figure import Figure

    from ml.context import Context
    from ml.promotions import Change
    from ml.request_drift import Reference

__all__ = ["ANSWERS_FIGURE", "INPUTS_FIGURE", "run"]

log = logging.getLogger(__name__)

ANSWERS_FIGURE, INPUTS_FIGURE = "answers.png", "inputs.png"


def run(context: Context, monitor_id: str, now: datetime, window_hours: float | None = None) -> dict[str, Any]:
    """Test the rows of a window for drift, and draw them.

    Args:
        context: settings and store.
        monitor_id: of the look.
        now: the window's end.
        window_hours: its length; ``monitoring.window_hours`` by default.

    Returns:
        ``version``, ``snapshot_id`` it was made from, ``rows`` of it in the window, ``undecodable`` among them,
        ``shares`` of the classes, ``figures`` that were drawn and ``findings``.
    """
    store, settings = context.store, context.settings
    changes = load_changes(store, settings.model_name)
    change = _served(changes)
    start = now - timedelta(hours=window_hours or settings.monitoring.window_hours)
    reference: Reference | str = "nothing was promoted yet" if change is None else load_reference(store, change)
    rows = read_requests(store, settings.model_name, start, now)
    if change is not None:
        rows = rows_of_version(rows, change.version, changes)
    findings = judge_drift(reference, rows, settings.monitoring)
    figures = {} if isinstance(reference, str) else _draw(reference, rows)
    prefix = layout.safe_run_id(monitor_id)
    for name, figure in figures.items():
        store.put(layout.monitoring_key(settings.model_name, prefix, name), png_bytes(figure))
    found = {
        "version": change.version if change else None,
        "snapshot_id": change.snapshot_id if change else None,
        "from": start.isoformat(),
        "rows": len(rows),
        "undecodable": int((rows["status"] != "OK").sum()),
        "shares": {} if isinstance(reference, str) else _shares(reference, rows),
        "figures": list(figures),
        "findings": [finding.to_dict() for finding in findings],
    }
    store.put(layout.monitoring_key(settings.model_name, prefix, "drift.json"), dump_json(found))
    log.info("%d rows about version %s since %s", len(rows), found["version"], found["from"])
    return found


def _served(changes: list[Change]) -> Change | None:
    """The record that tells what the stable version was made from."""
    stable = changes[-1].serving.stable if changes else None
    return next((change for change in changes if change.version == stable), None)


def _answers(rows: pd.DataFrame, classes: int) -> pd.DataFrame:
    answered = rows[rows["status"] == "OK"]
    return answered[answered["probabilities"].map(len) == classes]


def _shares(reference: Reference, rows: pd.DataFrame) -> dict[str, tuple[float, float | None]]:
    """By class: its share of the answers to the test images, and of those that were logged; None without any."""
    answered = _answers(rows, len(reference.classes))
    before = np.bincount(reference.probabilities.argmax(axis=1), minlength=len(reference.classes))
    now = np.bincount(answered["class_id"].to_numpy(np.int64), minlength=len(reference.classes))
    return {
        label: (float(first / max(before.sum(), 1)), float(second / now.sum()) if now.sum() else None)
        for label, first, second in zip(reference.classes, before, now, strict=True)
    }


def _draw(reference: Reference, rows: pd.DataFrame) -> Mapping[str, Figure]:
    from ml.plots.monitoring import answers_figure, inputs_figure

    answered, measured = _answers(rows, len(reference.classes)), rows[rows["brightness"].notna()]
    figures = {}
    if len(answered) and len(reference.probabilities):
        figures[ANSWERS_FIGURE] = answers_figure(
            reference.classes, reference.probabilities, stack_probabilities(answered)
        )
    if len(measured) and len(reference.images):
        figures[INPUTS_FIGURE] = inputs_figure(reference.images, measured, PROPERTIES)
    return figures
