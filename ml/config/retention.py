"""Section ``retention``: after how many days `housekeeping` removes what nothing needs."""

from __future__ import annotations

from pydantic import Field

from ml.config.base import Section

__all__ = ["RetentionSettings"]

#: A run may wait a week for a person, and whoever clears a task of it may come a week later.
SHORTEST_DAYS = 14
LONGEST_DAYS = 36500


def _days(description: str) -> int | None:
    days: int | None = Field(None, ge=SHORTEST_DAYS, le=LONGEST_DAYS, description=description)
    return days


class RetentionSettings(Section):
    """Days after which `housekeeping` removes what nothing needs, counted from when it was last written.

    Null, the default, keeps it for ever: how long data are kept is for whoever answers for them to say.
    """

    run_days: int | None = _days("runs, and the versions they published that never were on trial or promoted")
    keep_runs: int = Field(20, ge=1, description="the newest runs, which stay however old they are")
    feature_days: int | None = _days("feature maps that no run which stays is made of; they can be extracted again")
    quarantine_days: int | None = _days("bytes of refused objects; what was refused and why stays on record")
    arrival_days: int | None = _days("notes of ingests on what they found to do")
    prediction_days: int | None = _days("batches of predictions")
