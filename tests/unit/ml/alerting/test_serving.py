from __future__ import annotations

import pytest

from ml.alerting import Fact, Link, RunReference, canary_alert, promotion_alert, rollback_alert, taken_back_alert
from sample_alerts import AT, BASE, SAMPLES, promoted, run_of

PAGE = Link("Models page", f"{BASE}/plugin/models")


def test_a_promotion_names_version_score_champion_before_who_decided_and_since_when():
    alert = SAMPLES["promotion_alert"]
    facts = dict(alert.facts)

    assert (alert.severity, alert.title) == ("info", "retrain: version 4 is the champion")
    assert (facts["version"], facts["variant"]) == ("4", "vgg16")
    assert facts["macro F1"] == "0.9312 (95 % interval 0.9105 to 0.9490)"
    assert facts["champion before"].startswith("version 3, mobilenet: macro F1 0.9101")
    assert facts["decided by"].startswith("Approved by Alice")
    assert facts["serves since"] == "2026-01-02 03:03:45 UTC"
    assert alert.links[0] == PAGE
    assert alert.cause == ()


def test_a_promotion_by_another_run_names_the_run_that_trained_the_version():
    own = promotion_alert(promoted(), [PAGE], RunReference("retrain", promoted().change.run_id, "promote"), BASE, AT)
    later = promotion_alert(promoted(), [PAGE], run_of("promote", "promote"), BASE, AT)

    assert "trained in run" not in dict(own.facts)
    assert Fact("trained in run", promoted().change.run_id) in later.facts


TRIAL = {"version": 4, "reason": "Not kept: errors.", "checks": [
    {"name": "errors", "measured": "3 of 40", "required": "none", "passed": False},
    {"name": "latency", "measured": "9 ms", "required": "20 ms", "passed": True},
]}  # fmt: skip


def test_a_trial_that_was_not_stood_names_the_limits_that_were_not_kept():
    alert = canary_alert(TRIAL, [PAGE], run_of("retrain", "canary"), BASE, AT)

    assert (alert.severity, alert.title) == ("critical", "retrain: version 4 did not stand its trial")
    assert alert.facts[0] == Fact("errors", "3 of 40, required none")
    assert "latency" not in dict(alert.facts)
    assert alert.cause == ("canary", "retrain", "canary", "errors")


@pytest.mark.parametrize(
    ("back", "said"), [(3, "Version 3 serves again."), (None, "It still serves: there is no earlier version.")]
)
def test_a_version_that_does_badly_is_told_with_what_serves_now(back, said):
    alert = taken_back_alert(TRIAL | {"rolled_back_to": back}, [PAGE], run_of("retrain", "watch"), BASE, AT)

    assert alert.message == f"{said} Not kept: errors."
    assert alert.cause == ()


@pytest.mark.parametrize(
    ("action", "title", "said"),
    [
        ("rollback", "rollback: back to version 3", "Alice took back version 4: worse"),
        ("withdraw", "rollback: version 3 stays", "Alice ended the trial beside it: worse"),
    ],
)
def test_a_rollback_names_who_and_why(action, title, said):
    change = {"action": action, "version": 3, "from": 4, "by": "Alice", "reason": "worse"}
    alert = rollback_alert(change, [PAGE], run_of("rollback", "roll_back"), BASE, AT)

    assert (alert.severity, alert.title, alert.message) == ("warning", title, said)
    assert Fact("decided by", "Alice") in alert.facts
    assert alert.cause == ()
