import pytest

from ml.canary import agreement, judge_canary, judge_watch
from ml.config import CanarySettings, WatchSettings

GOOD = {"error_share": 0.0, "offline": 1.0, "champion": 0.9, "latencies": (10.0, 10.0), "errors": [], "alone": False}


def judged(limits=None, **changes):
    return judge_canary(CanarySettings(**limits or {}), **GOOD | changes)


def test_a_canary_within_all_limits_stands():
    verdict = judged()

    assert verdict.passed
    assert [check.name for check in verdict.checks] == [
        "errors",
        "agreement with its evaluation",
        "agreement with the champion",
        "latency (p95)",
    ]


@pytest.mark.parametrize(
    ("limits", "at_limit", "beyond", "said"),
    [
        ({"max_error_share": 0.1}, {"error_share": 0.1}, {"error_share": 0.11}, "errors: 11.0%"),
        ({"min_offline_agreement": 0.9}, {"offline": 0.9}, {"offline": 0.89}, "evaluation: 89.0%"),
        ({"min_agreement": 0.7}, {"champion": 0.7}, {"champion": 0.69}, "champion: 69.0%"),
        ({"max_latency_ratio": 2}, {"latencies": (20.0, 10.0)}, {"latencies": (20.1, 10.0)}, "2.01 times"),
    ],
    ids=["errors", "evaluation", "champion", "latency"],
)
def test_each_limit_holds_at_its_edge_and_not_beyond(limits, at_limit, beyond, said):
    assert judged(limits, **at_limit).passed
    verdict = judged(limits, **beyond)
    assert not verdict.passed
    assert said in verdict.reason
    assert ";" not in verdict.reason


@pytest.mark.parametrize("missing", ["offline", "champion"])
def test_nothing_answered_is_nothing_agreed(missing):
    assert not judged(**{missing: None}).passed


def test_a_canary_that_answers_nothing_is_not_quick():
    assert not judged(latencies=(None, 10.0)).passed


def test_errors_are_quoted():
    assert "no such signature" in judged(error_share=1.0, errors=["no such signature"]).reason


def test_without_a_champion_there_is_nothing_to_compare_with():
    verdict = judged(champion=None, latencies=(10.0, None), alone=True)

    assert verdict.passed
    assert len(verdict.checks) == 2


def test_a_latency_limit_can_be_left_out():
    assert judged({"max_latency_ratio": None}, latencies=(1000.0, 1.0)).passed


def test_images_without_an_answer_count_neither_way():
    assert agreement(["a", "b", "", "c"], ["a", "c", "b", ""]) == 0.5
    assert agreement([""], ["a"]) is None


def watched(**changes):
    given = {"probes": (0, 100), "traffic": (0, 1000), "latencies": (10.0, 10.0), "errors": []} | changes
    return judge_watch(WatchSettings(max_error_share=0.01, max_latency_ratio=3), **given)


def test_a_quiet_watch_keeps_the_version():
    assert watched().passed


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"probes": (2, 100)}, "errors of the watch: 2 of 100"),
        ({"traffic": (11, 1000)}, "errors of all requests: 11 of 1,000"),
        ({"latencies": (30.1, 10.0)}, "latency (p95)"),
    ],
    ids=["probes", "traffic", "latency"],
)
def test_what_goes_beyond_its_limit_is_named(changes, said):
    assert not watched(**changes).passed
    assert watched(**changes).reason.startswith(said)


def test_a_server_without_metrics_is_watched_by_its_answers_alone():
    assert [check.name for check in watched(traffic=None).checks] == ["errors of the watch", "latency (p95)"]


def test_one_hiccup_is_no_reason_unless_none_is_allowed():
    assert watched(probes=(1, 20)).passed
    assert not watched(probes=(2, 20)).passed
    strict = judge_watch(WatchSettings(max_error_share=0), (1, 1000), None, (None, None), ["UNAVAILABLE"])
    assert not strict.passed
    assert strict.reason == "errors of the watch: 1 of 1,000 (UNAVAILABLE), required at most 0.0%"


def test_no_traffic_is_no_error():
    assert watched(traffic=(0, 0)).passed


def test_a_verdict_is_plain_data():
    assert watched().to_dict()["checks"][0] == {
        "name": "errors of the watch",
        "passed": True,
        "measured": "0 of 100",
        "required": "at most 1.0%",
        "value": 0.0,
    }
