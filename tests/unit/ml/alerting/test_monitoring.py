from datetime import UTC, datetime

import pytest

from ml.alerting import Link, RunReference, monitoring_alert

AT = datetime(2026, 3, 1, tzinfo=UTC)
PAGE = Link("page of the look", "https://airflow.example/quartet/monitoring/scheduled__2026/report.html")
RUN = RunReference("monitor", "scheduled__2026", "report", try_number=1)


def finding(topic, name, critical=False):
    return {"topic": topic, "name": name, "measured": "0.341", "required": "at most 0.20", "critical": critical}


def alert(*findings, retraining=""):
    report = {"model_name": "classifier", "beyond": findings, "retraining": retraining, "page": "s3://b/report.html"}
    return monitoring_alert(report, [PAGE], RUN, "https://airflow.example", AT)


def test_everything_beyond_its_limit_is_in_one_alert_with_what_to_do_about_it():
    told = alert(
        finding("Traffic", "errors", critical=True), finding("Drift", "brightness"), retraining="Retrain is started."
    )

    assert told.severity == "critical"
    assert told.title == "monitor: classifier is beyond its limits: errors, brightness"
    assert told.message.endswith("Drift, brightness: 0.341, required at most 0.20. Retrain is started.")
    assert told.facts[:2] == (
        ("Traffic, errors", "0.341, required at most 0.20"),
        ("Drift, brightness", "0.341, required at most 0.20"),
    )
    assert told.links[:2] == (PAGE, ("page in the store", "s3://b/report.html"))
    assert "quartet rollback" in told.remedy
    assert "retrain on such images" in told.remedy


@pytest.mark.parametrize("topic", ["What serves", "Traffic", "Drift"])
def test_what_can_wait_is_a_warning_with_its_own_remedy(topic):
    told = alert(finding(topic, "x"))

    assert told.severity == "warning"
    assert told.remedy
    assert len(told.remedy) < len(alert(*(finding(one, "x") for one in ("What serves", "Traffic", "Drift"))).remedy)


def test_the_cause_is_what_is_beyond_and_not_how_far():
    first = alert(finding("Traffic", "errors"), finding("Drift", "brightness"))

    assert alert(finding("Drift", "brightness"), finding("Traffic", "errors")).cause == first.cause
    assert alert(finding("Traffic", "errors")).cause != first.cause
