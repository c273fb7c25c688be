"""An alert as JSON, for any server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ml.alerting.alert import Alert

__all__ = ["render_webhook"]


def render_webhook(alert: Alert) -> dict[str, Any]:
    """The body; ``version`` changes when a key changes its meaning or goes."""
    return {
        "version": 1,
        "source": "quartet",
        "severity": alert.severity,
        "title": alert.title,
        "message": alert.message,
        "facts": [{"name": fact.name, "value": fact.value} for fact in alert.facts],
        "links": [{"name": link.name, "address": link.address} for link in alert.links],
        "remedy": alert.remedy,
        "at": alert.at.isoformat(),
        "cause": list(alert.cause),
    }
