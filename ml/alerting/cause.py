"""What makes two alerts the same: their severity, and their cause without what differs from run to run."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING

from ml.layout import safe_run_id

if TYPE_CHECKING:
    from ml.alerting.alert import Alert

__all__ = ["cause_digest", "without_run"]

#: Names that are new in every run, times, and what was measured in seconds. Other numbers stay: an answer 404 is not an
#: answer 503, and what is told once too often does less harm than what is not told.
_OF_A_RUN = re.compile(
    r"""
      \d{4}-\d\d-\d\d[T\ ]\d\d[:-]\d\d[\d:.+-]*(Z|\ UTC)?                                # a time, also as keys have it
    | \b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b                                     # a UUID
    | \b\d{6}-[0-9a-f]{12}\b                                                            # a snapshot
    | \b0x[0-9a-f]+\b                                                                   # an address in memory
    | \b[0-9a-f]{12,}\b                                                                 # a digest
    | \btmp[a-z0-9_]{8}\b                                                               # a temporary file
    | \b\d+(\.\d+)?\ ?(ms|s|sec|seconds|minutes)\b                                      # a duration
    """,
    re.VERBOSE,
)


def without_run(text: str, run_id: str) -> str:
    """An error's text with a mark in the place of what names a run, a moment, an object or a duration.

    Args:
        text: of the error.
        run_id: of the run that failed, as Airflow spells it.
    """
    for name in sorted({run_id, safe_run_id(run_id)}, key=len, reverse=True):
        text = text.replace(name, "#")
    return _OF_A_RUN.sub("#", text)


def cause_digest(alert: Alert) -> str:
    """SHA-256 of severity and cause: what was told of it is remembered under that."""
    return hashlib.sha256(json.dumps([alert.severity, *alert.cause]).encode()).hexdigest()
