from __future__ import annotations

from datetime import UTC, datetime

from ml.alerting import Fact, Link, RunReference, approval_alert, rejection_alert, unanswered_alert

AT = datetime(2026, 1, 2, tzinfo=UTC)
BASE = "https://airflow.example/"
PAGE = Link("page of the run", "https://airflow.example/quartet/runs/r/report.html")
GATE = RunReference("retrain", "r", "gate", try_number=1)


def rule(name, passed, missing=""):
    return {"name": name, "passed": passed, "measured": "0.7", "required": "at least 0.8", "missing": missing}


def test_a_rejection_names_each_missed_rule_and_the_smallest_change_that_would_have_met_it():
    rules = [rule("macro F1", False, "0.1 short"), rule("latency", True), rule("F1 of b", False)]
    decision = {"promoted": False, "variant": "vgg16", "reason": "Rejected: macro F1.", "rules": rules}
    alert = rejection_alert(decision, [PAGE], GATE, BASE, AT)

    assert (alert.severity, alert.title) == ("warning", "retrain: vgg16 is not promoted")
    assert alert.message == "Rejected: macro F1."
    assert alert.facts[:3] == (
        Fact("macro F1", "0.7, required at least 0.8 (0.1 short)"),
        Fact("F1 of b", "0.7, required at least 0.8"),
        Fact("DAG", "retrain"),
    )
    assert alert.links == (PAGE, *GATE.links(BASE))
    assert "changed under `gate`" in alert.remedy


def test_a_gate_without_rules_is_told_with_what_to_set():
    decision = {"promoted": False, "variant": "vgg16", "reason": "No gate rule is configured.", "rules": []}
    alert = rejection_alert(decision, [PAGE], GATE, BASE, AT)

    assert alert.facts == GATE.facts
    assert alert.remedy == "Set a rule under `gate`, and retrain."


def test_what_waits_for_approval_is_told_with_its_numbers_and_where_to_answer():
    run = RunReference("retrain", "manual__1+00:00", "approve", try_number=1)
    request = {"variant": "vgg16", "rules": [rule("macro F1", True)]}
    alert = approval_alert(request, AT, [PAGE], run, BASE, AT)

    assert (alert.severity, alert.title) == ("info", "retrain: vgg16 waits for approval")
    assert "Without an answer by 2026-01-02 at 00:00 UTC" in alert.message
    assert alert.facts[0] == Fact("macro F1", "0.7, required at least 0.8")
    answer = "https://airflow.example/dags/retrain/runs/manual__1%2B00%3A00/tasks/approve/required_actions"
    assert alert.links == (Link("answer", answer), PAGE)


def test_an_approval_that_nobody_gave_is_told_with_how_to_be_asked_again():
    alert = unanswered_alert("Rejected: nobody.", [PAGE], RunReference("retrain", "r", "approve"), BASE, AT)

    assert (alert.severity, alert.title) == ("warning", "retrain: nobody approved")
    assert alert.message.startswith("Rejected: nobody.")
    assert alert.remedy.startswith("Clear `approve` in Airflow")
