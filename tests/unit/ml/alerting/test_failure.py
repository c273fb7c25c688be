from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from ml.alerting import Fact, Link, RunReference, deadline_alert, describe_failure, failure_alert
from ml.errors import DataError, StoreError

AT = datetime(2026, 1, 2, tzinfo=UTC)
BASE = "https://airflow.example/"
RUN = RunReference("ingest_images", "manual__2026-01-02T00:00:00+00:00", "validate", try_number=2)
LINKS = RUN.links(BASE)


def failed(failure, run=RUN, reason="task_failure", others=()):
    return failure_alert(reason, failure, (), run, others, BASE, AT)


def test_an_error_on_purpose_gives_its_message_numbers_links_and_remedy():
    error = RuntimeError("DataError: no. Remedy: mend.")
    error.__cause__ = DataError("no.", "mend.", facts={"images": "b has 3"}, links={"report": "s3://r"})
    alert = failed(describe_failure(error))

    assert (alert.severity, alert.title) == ("critical", "ingest_images: validate failed")
    assert (alert.message, alert.remedy) == ("no.", "mend.")
    assert alert.facts == (
        Fact("images", "b has 3"),
        Fact("DAG", "ingest_images"),
        Fact("run", RUN.run_id),
        Fact("task", "validate"),
        Fact("try", "2"),
    )
    assert alert.links == (Link("report", "s3://r"), *LINKS)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (MemoryError(), "MemoryError"),
        (ValueError("no such thing"), "ValueError: no such thing"),
        ("killed by signal 9", "killed by signal 9"),
    ],
    ids=["without text", "with text", "text only"],
)
def test_any_other_error_is_told_too(error, message):
    alert = failed(describe_failure(error))

    assert alert.message == message
    assert "clear the task" in alert.remedy
    assert alert.links == LINKS


@pytest.mark.parametrize(
    ("reason", "title", "message"),
    [
        ("task_failure", "validate failed", "it was probably killed"),
        ("timed_out", "ran out of time", "longer than its limit"),
        ("all_tasks_deadlocked", "validate failed", "No task of the run can start"),
        ("of_its_own", "validate failed", "The run has failed: of_its_own."),
    ],
)
def test_a_run_that_failed_without_a_word_is_told_with_airflows_reason(reason, title, message):
    alert = failed(None, reason=reason)

    assert alert.title == f"ingest_images: {title}"
    assert message in alert.message


def test_what_is_left_of_an_error_is_small_json():
    facts = {f"fact {number}": "v" * 10_000 for number in range(100)}
    left = describe_failure(DataError("m" * 100_000, "r" * 100_000, facts=facts))

    assert len(json.dumps(left)) < 20_000
    assert (len(left["facts"]), left["facts_in_all"]) == (20, 100)


def test_causes_that_go_in_circles_end():
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first

    assert describe_failure(first)["message"] == "ValueError: first"


def test_a_mapped_task_is_named_with_its_index_and_others_that_failed_too():
    alert = failed(None, RunReference("retrain", "r", "train", 2, 1), others=["train_0", "train_1"])

    assert Fact("task", "train [2]") in alert.facts
    assert alert.facts[-1] == Fact("failed too", "train_0, train_1")


def test_a_run_without_a_task_to_name_is_told():
    alert = failed(None, RunReference("retrain", "r"), reason="all_tasks_deadlocked")

    assert alert.title == "retrain: failed"
    assert alert.links == (Link("run in Airflow", "https://airflow.example/dags/retrain/runs/r"),)


def test_the_same_error_of_another_run_has_the_same_cause():
    def alert_of(run_id, key):
        error = StoreError(f"s3://q/runs/{key}/plan.json of 000001-2f4781f7fc8e cannot be read after 10.2 s.")
        return failed(describe_failure(error), RunReference("retrain", run_id, "split", try_number=1))

    first = alert_of("manual__2026-01-02T00:00:00+00:00", "manual__2026-01-02T00-00-00-00-00")
    assert alert_of("scheduled__7", "scheduled__7").cause == first.cause
    assert first.cause[:3] == ("failure", "retrain", "split")


@pytest.mark.parametrize(
    "other",
    [
        failed(describe_failure(StoreError("The store answered 503."))),
        failed(describe_failure(DataError("The store answered 404."))),
        failed(describe_failure(StoreError("The store answered 404.")), RunReference("ingest_images", "r", "describe")),
        failed(describe_failure(StoreError("The store answered 404.")), RunReference("retrain", "r", "validate")),
        failed(describe_failure(StoreError("The store answered 404.")), reason="timed_out"),
    ],
    ids=["message", "kind of error", "task", "DAG", "reason"],
)
def test_another_failure_has_another_cause(other):
    assert failed(describe_failure(StoreError("The store answered 404."))).cause != other.cause


def test_a_missed_deadline_names_the_run_and_both_times():
    run = RunReference("ingest_images", "r")
    alert = deadline_alert(run, "running", "2026-01-01T00:00:00Z", "2026-01-01T02:00:00Z", None, BASE, AT)

    assert (alert.severity, alert.title) == ("warning", "ingest_images takes too long")
    assert alert.facts[:3] == (
        Fact("state", "running"),
        Fact("queued", "2026-01-01T00:00:00Z"),
        Fact("deadline", "2026-01-01T02:00:00Z"),
    )
    assert alert.links == (Link("run in Airflow", "https://airflow.example/dags/ingest_images/runs/r"),)


def test_a_run_that_waits_for_a_person_says_so_and_links_to_where_the_answer_is_taken():
    answer = Link("answer", "https://airflow.example/answer")
    alert = deadline_alert(RunReference("retrain", "r"), "running", "2026", "2026", answer, BASE, AT)

    assert "waits for a person's approval" in alert.message
    assert alert.links[0] == answer
    assert alert.remedy.startswith("Approve or reject")
