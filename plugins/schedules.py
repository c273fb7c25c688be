"""When DAGs start by themselves, where that is for the installation to say."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MONITOR_SCHEDULE_VARIABLE", "monitor_schedule"]

#: A cron expression or a preset such as ``@daily``; Airflow itself says what is wrong with another text. A variable of
#: the environment, because it is read whenever the DAG file is: settings would cost a file and pydantic each time.
MONITOR_SCHEDULE_VARIABLE = "QUARTET_MONITOR_SCHEDULE"
DEFAULT, NEVER = "@hourly", "never"


def monitor_schedule(environ: Mapping[str, str] | None = None) -> str | None:
    """The schedule of `monitor`; None, when the variable is ``never``, for runs by hand only."""
    text = (os.environ if environ is None else environ).get(MONITOR_SCHEDULE_VARIABLE, "").strip() or DEFAULT
    return None if text == NEVER else text
