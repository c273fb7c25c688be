"""When DAGs start by themselves, where that is for the installation to say.

By variables of the environment, because they are read whenever a DAG file is: settings would cost a file and pydantic
each time.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from ml.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.sdk import Asset

__all__ = [
    "HOUSEKEEPING_SCHEDULE_VARIABLE",
    "INGEST_SCHEDULE_VARIABLE",
    "LANDING_POLL_VARIABLE",
    "MONITOR_SCHEDULE_VARIABLE",
    "NEVER",
    "RETRAIN_SCHEDULE_VARIABLE",
    "housekeeping_schedule",
    "ingest_schedule",
    "landing_poll_seconds",
    "monitor_schedule",
    "retrain_schedule",
]

#: Cron expressions or presets such as ``@daily``, in UTC.
MONITOR_SCHEDULE_VARIABLE = "QUARTET_MONITOR_SCHEDULE"
INGEST_SCHEDULE_VARIABLE = "QUARTET_INGEST_SCHEDULE"
RETRAIN_SCHEDULE_VARIABLE = "QUARTET_RETRAIN_SCHEDULE"
HOUSEKEEPING_SCHEDULE_VARIABLE = "QUARTET_HOUSEKEEPING_SCHEDULE"
NEVER = "never"
MONITOR_DEFAULT, INGEST_DEFAULT, RETRAIN_DEFAULT, HOUSEKEEPING_DEFAULT = "@hourly", "@daily", NEVER, "@weekly"
#: Seconds from one look at the landing zone to the next.
LANDING_POLL_VARIABLE = "QUARTET_LANDING_POLL_SECONDS"
POLL_DEFAULT, LONGEST_POLL = 60.0, 86400.0
#: How late the first time may be noticed. Airflow's own choice for False is a tenth of the interval: a DAG that is
#: unpaused at two in the morning would run for midnight at once.
LATE = timedelta(minutes=1)


def monitor_schedule(environ: Mapping[str, str] | None = None) -> str | None:
    """The schedule of `monitor`; None, when the variable is ``never``, for runs by hand only.

    Airflow itself says what is wrong with a text that is no schedule.
    """
    return _time(environ, MONITOR_SCHEDULE_VARIABLE, MONITOR_DEFAULT)


def housekeeping_schedule(environ: Mapping[str, str] | None = None) -> str | None:
    """The schedule of `housekeeping`, likewise."""
    return _time(environ, HOUSEKEEPING_SCHEDULE_VARIABLE, HOUSEKEEPING_DEFAULT)


def ingest_schedule(landing: Asset, environ: Mapping[str, str] | None = None) -> Any:
    """The schedule of `ingest_images`: what is new in the landing zone, or the clock where nobody tells that.

    Raises:
        ConfigError: the variable is no schedule.
    """
    return _asset_or_time(landing, environ, INGEST_SCHEDULE_VARIABLE, INGEST_DEFAULT)


def retrain_schedule(snapshot: Asset, environ: Mapping[str, str] | None = None) -> Any:
    """The schedule of `retrain`: a new snapshot, and the clock too where the installation asks for it.

    Raises:
        ConfigError: the variable is no schedule.
    """
    return _asset_or_time(snapshot, environ, RETRAIN_SCHEDULE_VARIABLE, RETRAIN_DEFAULT)


def landing_poll_seconds(environ: Mapping[str, str] | None = None) -> float | None:
    """Seconds between two looks at the landing zone; None, when the variable is 0, for no watching.

    Raises:
        ConfigError: the variable is no such number.
    """
    text = _text(environ, LANDING_POLL_VARIABLE, str(POLL_DEFAULT))
    remedy = f"Use a number of seconds from 1 to {LONGEST_POLL:.0f}, 0 for no watching, or unset it."
    try:
        seconds = float(text)
    except ValueError as error:
        raise ConfigError(f"{LANDING_POLL_VARIABLE} = {text!r} is no number.", remedy) from error
    # Also refuses nan, which compares as false with everything.
    if seconds != 0 and not 1 <= seconds <= LONGEST_POLL:
        raise ConfigError(f"{LANDING_POLL_VARIABLE} = {text!r} is out of range.", remedy)
    return seconds or None


def _time(environ: Mapping[str, str] | None, variable: str, default: str) -> str | None:
    text = _text(environ, variable, default)
    return None if text == NEVER else text


def _asset_or_time(asset: Asset, environ: Mapping[str, str] | None, variable: str, default: str) -> Any:
    # Not above: the local stack sets these variables, and does without seconds of Airflow.
    from airflow.sdk import AssetOrTimeSchedule, CronTriggerTimetable
    from airflow.sdk.exceptions import AirflowTimetableInvalid

    text = _text(environ, variable, default)
    if text == NEVER:
        return [asset]
    timetable = CronTriggerTimetable(text, timezone="UTC", run_immediately=LATE)
    # Airflow checks a timetable of its own, but not one within another: the DAG would fail in the scheduler.
    error = ConfigError(
        f"{variable} = {text!r} is no schedule.", "Use a cron expression, @hourly, @daily, @weekly, never, or unset it."
    )
    if len(timetable.expression.split()) != 5:  # six would be seconds, which the scheduler does not take
        raise error
    try:
        timetable.validate()
    except AirflowTimetableInvalid as invalid:
        raise error from invalid
    return AssetOrTimeSchedule(timetable=timetable, assets=[asset])


def _text(environ: Mapping[str, str] | None, variable: str, default: str) -> str:
    return (os.environ if environ is None else environ).get(variable, "").strip() or default
