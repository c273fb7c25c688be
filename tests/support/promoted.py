"""Records of what serves, as promotions leave them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from ml.promotions import Change, append_change, newest_change
from ml.serving_state import ServingState

__all__ = ["NOON", "record_promotion"]

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def record_promotion(store, model_name, run_id, variant, version=1, snapshot_id="000001", by="gate", at=None):
    """Make a version of a run's candidate the champion, one minute after the record before."""
    newest = newest_change(store, model_name)
    number = newest.number + 1 if newest else 1
    serving = (newest.serving if newest else ServingState()).promote(version)
    when = at or NOON + timedelta(minutes=number)
    change = Change(
        number, "promote", version, serving, run_id, variant, snapshot_id, by, "for a test", when.isoformat()
    )
    return append_change(store, model_name, change)
