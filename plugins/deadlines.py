"""When a run takes too long."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from airflow.sdk.definitions.callback import AsyncCallback
from airflow.sdk.definitions.deadline import DeadlineAlert, DeadlineReference

from ml.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DEADLINES", "Deadline", "run_deadline"]

MINUTES_IN_A_YEAR = 365 * 24 * 60


class Deadline(NamedTuple):
    """Minutes from the queue to the end of a run: the variable that says so, and what holds without it.

    Variables of the environment, because they are read whenever a DAG file is: settings would cost a file and pydantic
    each time, and a run whose Airflow Variable is missing cannot start.
    """

    variable: str
    minutes: float


#: By DAG. Time in the queue counts, behind an earlier run too, and so does the wait for a person's approval.
DEADLINES = {
    "ingest_images": Deadline("QUARTET_INGEST_DEADLINE_MINUTES", 120),
    "retrain": Deadline("QUARTET_RETRAIN_DEADLINE_MINUTES", 12 * 60),
    "promote": Deadline("QUARTET_PROMOTE_DEADLINE_MINUTES", 60),
    "rollback": Deadline("QUARTET_ROLLBACK_DEADLINE_MINUTES", 15),
    "batch_predict": Deadline("QUARTET_BATCH_PREDICT_DEADLINE_MINUTES", 12 * 60),
    "monitor": Deadline("QUARTET_MONITOR_DEADLINE_MINUTES", 60),
    "housekeeping": Deadline("QUARTET_HOUSEKEEPING_DEADLINE_MINUTES", 6 * 60),
}


def run_deadline(dag_id: str, environ: Mapping[str, str] | None = None) -> DeadlineAlert | None:
    """The deadline of a DAG's runs; None, when its variable is 0, for none.

    Raises:
        ConfigError: the variable is no number of minutes.
    """
    known = DEADLINES[dag_id]
    minutes = _minutes(known, (os.environ if environ is None else environ).get(known.variable))
    if minutes == 0:
        return None
    return DeadlineAlert(
        name=dag_id,
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=timedelta(minutes=minutes),
        # In the triggerer: a SyncCallback runs in the executor, and not every executor takes one.
        callback=AsyncCallback("plugins.alerts.DeadlineNotifier"),
    )


def _minutes(known: Deadline, text: str | None) -> float:
    remedy = "Use a number of minutes, 0 for no deadline, or unset it."
    try:
        minutes = float(text) if text else known.minutes
    except ValueError as error:
        raise ConfigError(f"{known.variable} = {text!r} is no number.", remedy) from error
    # Also refuses nan, which compares as false with everything.
    if not 0 <= minutes <= MINUTES_IN_A_YEAR:
        raise ConfigError(f"{known.variable} = {text!r} is out of range.", remedy)
    return minutes
