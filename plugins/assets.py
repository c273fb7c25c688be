"""The assets that connect the DAGs, and the defaults all DAGs share."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import Asset, AssetWatcher

from plugins.alerts import record_failure
from plugins.landing_watcher import LandingTrigger
from plugins.owner import OWNER
from plugins.retrying import RETRY_POLICY
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
    "owner": OWNER,
    "retries": 2,
    "retry_policy": RETRY_POLICY,
    # Twice as long from try to try, and up to twice that again, so that tasks do not come back all at once.
    "retry_delay": timedelta(seconds=30),
    "retry_exponential_backoff": 2.0,
    "max_retry_delay": timedelta(minutes=10),
    "execution_timeout": timedelta(hours=2),
    "on_failure_callback": record_failure,
}
