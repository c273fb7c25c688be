"""The alert of `quartet test-alerts`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml.alerting.alert import Alert, Fact, Link

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["trial_alert"]


def trial_alert(base_url: str | None, at: datetime) -> Alert:
    """Nothing happened; somebody tries whether alerts arrive. Each try is sent: it has no cause."""
    links = () if base_url is None else (Link("Airflow", base_url),)
    return Alert(
        "info",
        "Test of Quartet's alerts",
        "Nothing is wrong: somebody ran `quartet test-alerts`.",
        at,
        (Fact("an escaped value", "<b>a & b</b>, *c*"),),
        links,
        "Nothing needs to be done.",
    )
