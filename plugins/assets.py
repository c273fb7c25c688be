"""The assets that connect the DAGs, and the defaults all DAGs share."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import Asset

from plugins.alerts import record_failure
from plugins.owner import OWNER
from plugins.retrying import RETRY_POLICY

__all__ = ["CHAMPION", "DEFAULT_ARGS", "PREDICTIONS", "SNAPSHOT"]

#: A validated, immutable data set; each event carries its id and counts.
SNAPSHOT = Asset(name="snapshot", uri="quartet://snapshots/latest", group="quartet")
#: The model in production; each event carries its version.
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
