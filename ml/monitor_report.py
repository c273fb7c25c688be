"""The page of one look of the monitor."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ml.monitoring import beyond
from ml.report import environment

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from ml.monitoring import Finding
    from ml.report import Figure

__all__ = ["MonitorPage", "render_monitor_report"]


@dataclass(frozen=True)
class MonitorPage:
    """All that the page shows.

    Attributes:
        model_name: of the model.
        monitor_id: of the look.
        created_at: when it was.
        version: on record as the one that serves; None before the first promotion.
        snapshot_id: what that was made from.
        findings: in the order of their topics.
        requests: since the last look, by status.
        since: which was then.
        p95_ms: of these, in which 95 of 100 were answered.
        rows: that were logged about the version in the window.
        undecodable: of them.
        window_from: where the window begins.
        shares: of the predicted classes, on test images and in the window.
        log_share: of the images asked that is logged.
        keeps_images: whether their bytes are.
        false_alarm_share: of looks at unchanged requests.
        retraining: what is done about drift, or why nothing is.
        figures: of the drift.
        notices: shown first.
        settings_json: the section of the settings.
    """

    model_name: str
    monitor_id: str
    created_at: datetime
    version: int | None
    snapshot_id: str | None
    findings: tuple[Finding, ...]
    requests: Mapping[str, int]
    since: str | None
    p95_ms: float | None
    rows: int
    undecodable: int
    window_from: datetime
    shares: Mapping[str, tuple[float, float | None]] = field(default_factory=dict)
    log_share: float = 0.0
    keeps_images: bool = False
    false_alarm_share: float = 0.001
    retraining: str = ""
    figures: tuple[Figure, ...] = ()
    notices: tuple[str, ...] = ()
    settings_json: str = "{}"

    @property
    def beyond(self) -> list[Finding]:
        """What is beyond its limit."""
        return beyond(self.findings)

    @property
    def topics(self) -> dict[str, list[Finding]]:
        """Findings by topic."""
        named = dict.fromkeys(finding.topic for finding in self.findings)
        return {topic: [one for one in self.findings if one.topic == topic] for topic in named}

    def count(self, status: str) -> int:
        """How many findings have a status."""
        return sum(finding.status == status for finding in self.findings)


def render_monitor_report(page: MonitorPage) -> str:
    """The HTML page.

    Raises:
        DataError: a time has no time zone.
    """
    return environment().get_template("monitor.html.j2").render(page=page)
