from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from ml.alerting import (
    Fact,
    Link,
    RunReference,
    approval_alert,
    deadline_alert,
    describe_failure,
    failure_alert,
    quality_alert,
    rejection_alert,
    trial_alert,
    unanswered_alert,
)
from ml.errors import ValidationFailedError

AT = datetime(2026, 1, 2, tzinfo=UTC)
BASE = "https://airflow.example/"
RUN = RunReference("ingest_images", "manual__2026-01-02T00:00:00+00:00", "validate", try_number=2)
LOG = Link(
    "task log",
    "https://airflow.example/dags/ingest_images/runs/manual__2026-01-02T00%3A00%3A00%2B00%3A00/tasks/validate?try_number=2",
)


@pytest.mark.parametrize(
    ("run", "url"),
    [
        (RunReference("d", "r/1 a?b"), "http://h/dags/d/runs/r%2F1%20a%3Fb"),
        (RunReference("d", "r", "group.t", 3, 1), "http://h/dags/d/runs/r/tasks/group.t/mapped/3?try_number=1"),
        (RunReference("d", "r", "t"), "http://h/dags/d/runs/r/tasks/t"),
    ],
    ids=["run", "mapped task", "task"],
)
def test_a_url_is_that_of_airflows_page(run, url):
    assert run.url("http://h") == url


def failed(failure, run=RUN, reason="task_failure", others=()):
    return failure_alert(reason, failure, run, others, BASE, AT)


def test_an_error_on_purpose_gives_its_message_numbers_links_and_remedy():
    error = RuntimeError("ValidationFailedError: no. Remedy: mend.")
    error.__cause__ = ValidationFailedError("no.", "mend.", facts={"images": "b has 3"}, links={"report": "s3://r"})
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
    assert alert.links == (Link("report", "s3://r"), LOG)


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
    assert alert.links == (LOG,)


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
    left = describe_failure(ValidationFailedError("m" * 100_000, "r" * 100_000, facts=facts))

    assert len(json.dumps(left)) < 20_000
    assert len(left["facts"]) == 20


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
    assert alert.links == (Link("run", "https://airflow.example/dags/retrain/runs/r"),)


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
    alert = quality_alert(validation, RUN, BASE, AT)

    assert (alert.severity, alert.title) == ("warning", title)
    assert alert.facts[: len(warnings)] == tuple(map(Fact, warnings, observed))
    assert alert.links == (Link("report", "/r.html"), LOG)
    assert "s1 is valid and the run goes on" in alert.message


GATE = RunReference("retrain", "r", "gate", try_number=1)


def rule(name, passed, missing=""):
    return {"name": name, "passed": passed, "measured": "0.7", "required": "at least 0.8", "missing": missing}


def test_a_rejection_names_each_missed_rule_and_the_smallest_change_that_would_have_met_it():
    rules = [rule("macro F1", False, "0.1 short"), rule("latency", True), rule("F1 of b", False)]
    decision = {"promoted": False, "variant": "vgg16", "reason": "Rejected: macro F1.", "rules": rules}
    alert = rejection_alert(decision, "s3://q/report.html", GATE, BASE, AT)

    assert (alert.severity, alert.title) == ("warning", "retrain: vgg16 is not promoted")
    assert alert.message == "Rejected: macro F1."
    assert alert.facts[:3] == (
        Fact("macro F1", "0.7, required at least 0.8 (0.1 short)"),
        Fact("F1 of b", "0.7, required at least 0.8"),
        Fact("DAG", "retrain"),
    )
    log = "https://airflow.example/dags/retrain/runs/r/tasks/gate?try_number=1"
    assert alert.links == (Link("page", "s3://q/report.html"), Link("task log", log))
    assert "changed under `gate`" in alert.remedy


def test_a_gate_without_rules_is_told_with_what_to_set():
    decision = {"promoted": False, "variant": "vgg16", "reason": "No gate rule is configured.", "rules": []}
    alert = rejection_alert(decision, "s3://q/report.html", GATE, BASE, AT)

    assert alert.facts == GATE.facts
    assert alert.remedy == "Set a rule under `gate`, and retrain."


def test_what_waits_for_approval_is_told_with_its_numbers_and_where_to_answer():
    run = RunReference("retrain", "manual__1+00:00", "approve", try_number=1)
    request = {"variant": "vgg16", "rules": [rule("macro F1", True)], "page": "s3://q/report.html"}
    alert = approval_alert(request, AT, run, BASE, AT)

    assert (alert.severity, alert.title) == ("info", "retrain: vgg16 waits for approval")
    assert "Without an answer by 2026-01-02 at 00:00 UTC" in alert.message
    assert alert.facts[0] == Fact("macro F1", "0.7, required at least 0.8")
    answer = "https://airflow.example/dags/retrain/runs/manual__1%2B00%3A00/tasks/approve/required_actions"
    assert alert.links == (Link("answer", answer), Link("page", "s3://q/report.html"))


def test_an_approval_that_nobody_gave_is_told_with_how_to_be_asked_again():
    alert = unanswered_alert("Rejected: nobody.", RunReference("retrain", "r", "approve"), BASE, AT)

    assert (alert.severity, alert.title) == ("warning", "retrain: nobody approved")
    assert alert.message.startswith("Rejected: nobody.")
    assert alert.remedy.startswith("Clear `approve` in Airflow")


def test_a_missed_deadline_names_the_run_and_both_times():
    run = RunReference("ingest_images", "r")
    alert = deadline_alert(run, "running", "2026-01-01T00:00:00Z", "2026-01-01T02:00:00Z", BASE, AT)

    assert (alert.severity, alert.title) == ("warning", "ingest_images takes too long")
    assert alert.facts[:3] == (
        Fact("state", "running"),
        Fact("queued", "2026-01-01T00:00:00Z"),
        Fact("deadline", "2026-01-01T02:00:00Z"),
    )
    assert alert.links == (Link("run", "https://airflow.example/dags/ingest_images/runs/r"),)


def test_a_trial_links_to_airflow_when_its_address_is_known():
    assert trial_alert("https://airflow.example", AT).links == (Link("Airflow", "https://airflow.example"),)
    assert trial_alert(None, AT).links == ()
