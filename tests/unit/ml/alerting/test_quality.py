from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ml.alerting import Fact, Link, RunReference, describe_failure, failure_alert, quality_alert
from ml.errors import ValidationFailedError

AT = datetime(2026, 1, 2, tzinfo=UTC)
BASE = "https://airflow.example/"
RUN = RunReference("ingest_images", "manual__1", "validate", try_number=2)
PAGE = Link("page of the snapshot", "https://airflow.example/quartet/snapshots/s1/report/index.html")


@pytest.mark.parametrize(
    ("warnings", "title"),
    [
        (["share at most 0.9"], "ingest_images: 1 data quality warning"),
        (["share at most 0.9", "contrast at least 2"], "ingest_images: 2 data quality warnings"),
    ],
    ids=["one", "two"],
)
def test_warnings_go_together_into_one_alert(warnings, title):
    observed = [f"{number} of 4 outside" for number in range(len(warnings))]
    validation = {"snapshot_id": "s1", "warnings": warnings, "observed": observed, "report": "/r.html"}
    alert = quality_alert(validation, [PAGE], RUN, BASE, AT)

    assert (alert.severity, alert.title) == ("warning", title)
    assert alert.facts[: len(warnings)] == tuple(map(Fact, warnings, observed))
    assert alert.links == (PAGE, Link("report in the store", "/r.html"), *RUN.links(BASE))
    assert "s1 is valid and the run goes on" in alert.message


def refused(facts, snapshot="s1"):
    error = ValidationFailedError(
        "no.", "See s3://r.", facts={"snapshot": snapshot} | facts, links={"report": "s3://r"}
    )
    return failure_alert("task_failure", describe_failure(error), [PAGE], RUN, ["describe"], BASE, AT)


def test_a_refused_snapshot_is_told_as_what_it_is_with_each_expectation_and_its_page():
    alert = refused({"images at least 50": "a has 3", "labels known": "1 of 9 outside"})

    assert (alert.severity, alert.title) == ("critical", "ingest_images: 2 critical data quality failures")
    assert "Snapshot s1 does not meet 2 critical expectations and is not published." in alert.message
    assert alert.facts[:3] == (
        Fact("images at least 50", "a has 3"),
        Fact("labels known", "1 of 9 outside"),
        Fact("snapshot", "s1"),
    )
    assert alert.facts[-1] == Fact("failed too", "describe")
    assert alert.links == (PAGE, Link("report in the store", "s3://r"), *RUN.links(BASE))


def test_expectations_that_are_too_many_to_show_are_counted():
    assert "does not meet 60 critical" in refused({f"expectation {number}": "1" for number in range(60)}).message


def test_the_cause_of_bad_data_is_what_is_expected_and_not_what_was_found():
    first = refused({"images at least 50": "a has 3"})

    assert refused({"images at least 50": "b has 4"}, snapshot="s2").cause == first.cause
    assert refused({"labels known": "a has 3"}).cause != first.cause
