"""The assets that connect the DAGs, and the defaults all DAGs share."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import Asset, AssetWatcher

from plugins.alerts import record_failure
from plugins.landing_watcher import LandingTrigger
from plugins.schedules import landing_poll_seconds

__all__ = ["CHAMPION", "DEFAULT_ARGS", "LANDING", "PREDICTIONS", "SNAPSHOT"]

_POLL = landing_poll_seconds()
#: Where people put images; each event says how much is new there.
LANDING = Asset(
    name="landing zone",
    uri="quartet://landing",
    group="quartet",
    watchers=[] if _POLL is None else [AssetWatcher(name="landing zone", trigger=LandingTrigger(_POLL))],
)
#: A validated, immutable data set; each event carries its id, its parent's and counts.
SNAPSHOT = Asset(name="snapshot", uri="quartet://snapshots/latest", group="quartet")
#: The model in production; each event carries its version, its run, who put it there and why.
CHAMPION = Asset(name="champion", uri="quartet://models/champion", group="quartet")
#: A finished batch of predictions; each event carries its id, its counts and the version that answered.
PREDICTIONS = Asset(name="predictions", uri="quartet://predictions/latest", group="quartet")

DEFAULT_ARGS: dict[str, Any] = {
    "owner": "quartet",
    "retries": 2,
    "retry_delay": timedelta(seconds=30),
    "retry_exponential_backoff": True,
    "execution_timeout": timedelta(hours=2),
    "on_failure_callback": record_failure,
}
