from __future__ import annotations

from datetime import UTC, datetime

from ml.alerting import Link, trial_alert

AT = datetime(2026, 1, 2, tzinfo=UTC)


def test_a_trial_links_to_airflow_when_its_address_is_known():
    assert trial_alert("https://airflow.example", AT).links == (Link("Airflow", "https://airflow.example"),)
    assert trial_alert(None, AT).links == ()
