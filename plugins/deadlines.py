"""When a run takes too long."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING

from airflow.sdk.definitions.callback import AsyncCallback
from airflow.sdk.definitions.deadline import DeadlineAlert, DeadlineReference

from ml.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["INGEST_DEADLINE_VARIABLE", "ingest_deadline"]

#: Minutes from the queue to the end of a run. A variable of the environment, because it is read whenever the DAG file
#: is: settings would cost a file and pydantic each time, and a run whose Airflow Variable is missing cannot start.
INGEST_DEADLINE_VARIABLE = "QUARTET_INGEST_DEADLINE_MINUTES"
DEFAULT_MINUTES = 120.0
MINUTES_IN_A_YEAR = 365 * 24 * 60


def ingest_deadline(environ: Mapping[str, str] | None = None) -> DeadlineAlert | None:
    """The deadline of `ingest_images`; None, when the variable is 0, for none.

    Raises:
        ConfigError: the variable is no number of minutes.
    """
    minutes = _minutes((os.environ if environ is None else environ).get(INGEST_DEADLINE_VARIABLE))
    if minutes == 0:
        return None
    return DeadlineAlert(
        name="ingest_images",
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=timedelta(minutes=minutes),
        # In the triggerer: a SyncCallback runs in the executor, and not every executor takes one.
        callback=AsyncCallback("plugins.alerts.DeadlineNotifier"),
    )


def _minutes(text: str | None) -> float:
    remedy = "Use a number of minutes, 0 for no deadline, or unset it."
    try:
        minutes = float(text) if text else DEFAULT_MINUTES
    except ValueError as error:
        raise ConfigError(f"{INGEST_DEADLINE_VARIABLE} = {text!r} is no number.", remedy) from error
    # Also refuses nan, which compares as false with everything.
    if not 0 <= minutes <= MINUTES_IN_A_YEAR:
        raise ConfigError(f"{INGEST_DEADLINE_VARIABLE} = {text!r} is out of range.", remedy)
    return minutes
