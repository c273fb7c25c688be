from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ml.alerting import Alert, Fact, Link

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def make_alert():
    """An alert; takes what differs."""

    def make(**changes):
        given = {
            "severity": "critical",
            "title": "ingest_images: validate failed",
            "message": "Snapshot s1 does not meet 1 critical expectation(s).",
            "at": AT,
            "facts": (Fact("images at least 10", "1 of 4 outside: glioma has 3"), Fact("run", "manual__1")),
            "links": (
                Link("report", "s3://bucket/report.html"),
                Link("task log", "https://airflow.example/log?a=1&b=2"),
            ),
            "remedy": "Add images.",
        }
        return Alert(**given | changes)

    return make
