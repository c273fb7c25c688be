from datetime import UTC, datetime, timedelta

import pytest

from ml.config import MonitoringSettings
from ml.monitor_state import MonitorState, load_state, save_state
from ml.monitoring import Finding, Served, Traffic, beyond, judge_serving, judge_traffic

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def serving(**changes):
    return {
        one.name: one for one in judge_serving(Served(**{"recorded": 3, "at_server": 3, "in_registry": 3} | changes))
    }


def traffic(requests=1000, errors=0, p95=50.0, **limits):
    seen = Traffic(requests, errors, p95, "the server started")
    return {one.name: one for one in judge_traffic(seen, MonitoringSettings(**limits))}


def test_three_accounts_that_agree_are_within():
    assert {one.status for one in serving().values()} == {"within"}


@pytest.mark.parametrize(
    ("changes", "name", "measured", "critical"),
    [
        ({"at_server": 2}, "model server", "version 2", True),
        ({"at_server": None, "server_error": "it does not answer"}, "model server", "it does not answer", True),
        ({"in_registry": None}, "registry", "no version", False),
        ({"in_registry": None, "registry_error": "it is down"}, "registry", "it is down", False),
    ],
    ids=["another version", "no server", "no champion", "no registry"],
)
def test_whoever_disagrees_with_the_record_is_beyond(changes, name, measured, critical):
    found = serving(**changes)

    assert (found[name].status, found[name].measured, found[name].critical) == ("beyond", measured, critical)
    assert found[name].required == "version 3, as recorded"
    assert sum(one.status == "beyond" for one in found.values()) == 1


@pytest.mark.parametrize(
    "changes",
    [{"at_server": 2}, {"at_server": None, "server_error": "Unrecognized label"}],
    ids=["the version before", "a label that is not known yet"],
)
def test_a_change_of_a_moment_ago_is_not_judged(changes):
    found = serving(**changes, settling=True)

    assert found["model server"].status == "unknown"
    assert found["model server"].measured.endswith("; the record is a moment old")
    assert found["registry"].status == "within"


def test_before_the_first_promotion_nothing_is_claimed():
    assert {one.status for one in serving(recorded=None).values()} == {"unknown"}


def test_errors_and_latency_are_held_against_their_limits():
    assert {one.status for one in traffic(errors=10).values()} == {"within"}
    assert traffic(errors=11)["errors"].status == "beyond"
    assert traffic(errors=11)["errors"].measured == "1.10%, 11 of 1,000 requests since the server started"
    assert traffic(p95=1000.0)["latency (p95)"].status == "within"
    assert traffic(p95=1000.1)["latency (p95)"].status == "beyond"
    assert traffic(p95=None)["latency (p95)"].status == "unknown"
    assert list(traffic(max_latency_ms=None)) == ["errors"]


def test_of_few_requests_nothing_is_claimed():
    found = traffic(requests=99, errors=99)

    assert {one.status for one in found.values()} == {"unknown"}
    assert found["errors"].measured == "99 requests since the server started, at least 100 tell something"


def test_what_cannot_be_measured_is_said():
    found = judge_traffic(None, MonitoringSettings(), "the server shows no metrics")

    assert [(one.status, one.measured) for one in found] == [("unknown", "the server shows no metrics")] * 2


def test_what_asks_for_somebody_at_once_comes_first():
    mild, severe = (Finding("t", name, "beyond", "m", critical=name == "b") for name in "ab")

    assert beyond([mild, Finding("t", "c", "within", "m"), severe]) == [severe, mild]
    assert Finding.from_dict(mild.to_dict()) == mild


@pytest.mark.parametrize(
    ("names", "hours", "due"),
    [
        ((), 100, False),
        (("a",), 1, False),
        (("a",), 24, True),
        (("a", "b"), 1, True),
        (("b",), 1, True),
    ],
    ids=["all is well", "told already", "a reminder", "something more", "something else"],
)
def test_an_alert_is_due_for_what_is_new_and_as_a_reminder(names, hours, due):
    state = MonitorState(told=("a",), told_at=NOW.isoformat())

    assert state.should_tell(frozenset(names), NOW + timedelta(hours=hours), DAY) is due


def test_the_first_alert_is_due_at_once():
    assert MonitorState().should_tell(frozenset("a"), NOW, DAY)


def test_a_state_comes_back_as_it_was(store):
    assert load_state(store, "m") == MonitorState()
    state = MonitorState(
        NOW.isoformat(), {"requests": {"OK": 3}}, NOW.isoformat(), ("a", "b"), NOW.isoformat(), {"3": "x"}
    )

    save_state(store, "m", state)

    assert load_state(store, "m") == state
