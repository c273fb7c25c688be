import pytest

from ml.config import GateSettings
from ml.gating import decide


def metrics(macro_f1, **class_f1):
    return {"macro_f1": macro_f1, "report": [{"label": label, "f1": f1} for label, f1 in class_f1.items()]}


WINNER = metrics(0.8, cat=0.7, dog=0.9)


@pytest.mark.parametrize(
    ("settings", "promoted"),
    [
        ({"min_macro_f1": 0.8}, True),
        ({"min_macro_f1": 0.8001}, False),
        ({"min_class_f1": 0.7}, True),
        ({"min_class_f1": 0.7001}, False),
        ({"min_macro_f1": 0.8, "min_class_f1": 0.7}, True),
        ({"min_macro_f1": 0.8, "min_class_f1": 0.8}, False),
    ],
    ids=["macro-met", "macro-missed", "class-met", "class-missed", "both-met", "one-of-two-missed"],
)
def test_bars_are_met_at_their_value_and_not_below(settings, promoted):
    assert decide(WINNER, None, GateSettings(**settings)).promoted is promoted


@pytest.mark.parametrize(
    ("champion_f1", "margin", "promoted"),
    [(0.79, 0.0, True), (0.8, 0.0, False), (0.81, 0.0, False), (0.75, 0.05, True), (0.76, 0.05, False)],
    ids=["better", "tie", "worse", "by-the-margin", "by-less-than-the-margin"],
)
def test_challenger_must_beat_the_champion(champion_f1, margin, promoted):
    decision = decide(WINNER, metrics(champion_f1), GateSettings(champion_margin=margin))

    assert decision.promoted is promoted


def test_first_winner_needs_no_champion_to_beat():
    decision = decide(WINNER, None, GateSettings(min_macro_f1=0.5, champion_margin=0.1))

    assert decision.promoted
    assert [rule.name for rule in decision.rules] == ["macro F1"]


def test_without_any_rule_nothing_is_promoted():
    decision = decide(metrics(1.0), None, GateSettings())

    assert not decision.promoted
    assert "No gate rule is configured" in decision.reason


def test_margin_alone_does_not_promote_a_first_winner():
    assert not decide(WINNER, None, GateSettings(champion_margin=0.0)).promoted


@pytest.mark.parametrize(
    ("latency_ms", "promoted", "measured"),
    [(80.0, True, "80.0 ms"), (80.1, False, "80.1 ms"), (None, False, "not measured")],
    ids=["in-time", "too-slow", "not-measured"],
)
def test_winner_must_answer_in_time(latency_ms, promoted, measured):
    decision = decide(WINNER, None, GateSettings(max_latency_ms=80), latency_ms)

    (rule,) = decision.rules
    assert (decision.promoted, rule.measured, rule.required) == (promoted, measured, "at most 80 ms")
    assert rule.name == "latency of one image, 95th percentile"


def test_slow_winner_is_let_through_where_no_rule_asks():
    assert decide(WINNER, None, GateSettings(min_macro_f1=0.5), 10_000).promoted


def test_rejection_names_each_missed_rule_with_its_numbers():
    decision = decide(WINNER, metrics(0.85), GateSettings(min_macro_f1=0.5, min_class_f1=0.75, champion_margin=0.01))

    assert decision.reason == (
        "Rejected: F1 of the weakest class, cat: 0.7000, required at least 0.75; better than the champion: 0.8000, "
        "required above the champion's 0.8500 by 0.01 or more, on the same test images."
    )
    assert [rule.passed for rule in decision.rules] == [True, False, False]


def test_tie_is_said_without_a_margin_of_nothing():
    decision = decide(WINNER, metrics(0.8), GateSettings(champion_margin=0))

    assert decision.reason == (
        "Rejected: better than the champion: 0.8000, required above the champion's 0.8000, on the same test images."
    )


def test_document_of_a_decision_holds_every_rule():
    document = decide(WINNER, None, GateSettings(min_macro_f1=0.75)).to_dict()

    assert document == {
        "promoted": True,
        "reason": "Cleared: macro F1: 0.8000, required at least 0.75.",
        "rules": [{"name": "macro F1", "passed": True, "measured": "0.8000", "required": "at least 0.75"}],
    }
