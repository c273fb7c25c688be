import math
from dataclasses import replace

import numpy as np
import pytest

from ml.config import GateSettings
from ml.errors import ConfigError
from ml.gating import Evidence, decide
from ml.intervals import Comparison


def line(label, f1, recall=None, support=40):
    return {"label": label, "f1": f1, "recall": f1 if recall is None else recall, "precision": f1, "support": support}


REPORT = (line("cat", 0.7, recall=0.75), line("dog", 0.9, recall=0.95))
WINNER = {"macro_f1": 0.8, "calibration_error": 0.1, "report": REPORT}
EVIDENCE = Evidence(WINNER, latency_ms=80.0)


def changed(**metrics):
    return replace(EVIDENCE, metrics=WINNER | metrics)


def against(champion, differences=None, images=100, challenger=0.8):
    if differences is None:
        differences = np.full(2000, challenger - champion)
    return replace(EVIDENCE, comparison=Comparison(images, 50, challenger, champion, np.asarray(differences)))


def rule_of(evidence, name, **settings):
    decision = decide(evidence, GateSettings(**settings))
    (rule,) = (rule for rule in decision.rules if rule.name == name)
    return rule


@pytest.mark.parametrize(
    ("settings", "bound", "below"),
    [
        ("min_macro_f1", 0.8, False),
        ("min_class_f1", 0.7, False),
        ("min_class_recall", 0.75, False),
        ("max_calibration_error", 0.1, True),
        ("max_latency_ms", 80.0, True),
    ],
)
def test_bounds_are_met_at_their_value_and_not_beyond(settings, bound, below):
    beyond = math.nextafter(bound, 0 if below else 100)

    assert decide(EVIDENCE, GateSettings(**{settings: bound})).promoted
    assert not decide(EVIDENCE, GateSettings(**{settings: beyond})).promoted


@pytest.mark.parametrize(
    ("floors", "promoted"),
    [({"min_f1": 0.9}, True), ({"min_f1": 0.9001}, False), ({"min_recall": 0.95}, True), ({"min_recall": 0.96}, False)],
    ids=["f1-met", "f1-missed", "recall-met", "recall-missed"],
)
def test_floors_of_one_class_are_of_that_class(floors, promoted):
    assert decide(EVIDENCE, GateSettings(classes={"dog": floors})).promoted is promoted


def test_floors_of_a_class_that_there_is_not_are_refused():
    with pytest.raises(ConfigError, match=r"`gate\.classes` names 'bird', which is no class") as caught:
        decide(EVIDENCE, GateSettings(classes={"bird": {"min_f1": 0.1}}))
    assert caught.value.remedy == "Classes: cat, dog."


NAN = math.nan


@pytest.mark.parametrize(
    ("evidence", "settings"),
    [
        (changed(macro_f1=NAN), {"min_macro_f1": 0.0}),
        (changed(calibration_error=NAN), {"max_calibration_error": 1.0}),
        (changed(report=(line("cat", NAN),)), {"min_class_f1": 0.0}),
        (changed(report=(line("cat", NAN),)), {"min_class_recall": 0.0}),
        (changed(report=(line("dog", 0.9), line("cat", NAN))), {"min_class_f1": 0.0}),
        (replace(EVIDENCE, latency_ms=None), {"max_latency_ms": 1e9}),
        (replace(EVIDENCE, latency_ms=NAN), {"max_latency_ms": 1e9}),
    ],
)
def test_what_was_not_measured_meets_no_bound(evidence, settings):
    decision = decide(evidence, GateSettings(**settings))

    assert not decision.promoted
    rule = decision.rules[0]
    assert (rule.measured, rule.value) == ("not measured", None)


@pytest.mark.parametrize(
    "settings", [{"min_class_f1": 0.0}, {"min_class_recall": 0.0}, {"classes": {"bird": {"min_f1": 0}}}]
)
def test_class_without_test_images_meets_no_floor(settings):
    evidence = changed(report=(*REPORT, line("bird", 0.0, support=0)))

    rule = decide(evidence, GateSettings(**settings)).rules[0]

    assert (rule.passed, rule.measured, rule.missing) == (False, "no test images", "images of it in the test split")
    assert "bird" in rule.name


def test_one_image_a_class_can_meet_a_floor():
    evidence = changed(report=(line("cat", 1.0, support=1), line("dog", 1.0, support=1)))

    assert decide(evidence, GateSettings(min_class_f1=1.0, min_class_recall=1.0)).promoted


@pytest.mark.parametrize(
    ("recall", "support", "floor", "missing"),
    [
        (0.75, 40, 0.8, "2 more of its 40 images to be found"),
        (0.0, 1, 0.5, "1 more of its 1 images to be found"),
        (2 / 3, 3, 1.0, "1 more of its 3 images to be found"),
        (0.89, 100, 0.9, "1 more of its 100 images to be found"),
    ],
)
def test_missed_recall_is_told_in_images(recall, support, floor, missing):
    evidence = changed(report=(line("cat", 0.7, recall, support),))

    assert rule_of(evidence, "recall of the weakest class, cat", min_class_recall=floor).missing == missing


BETTER = "better than the champion"


@pytest.mark.parametrize(
    ("champion", "promoted"), [(0.79, True), (0.8, False), (0.81, False)], ids=["better", "tie", "worse"]
)
def test_challenger_must_look_better_and_a_tie_keeps_the_champion(champion, promoted):
    decision = decide(against(champion), GateSettings(champion_margin=0.5))

    assert decision.promoted is promoted
    assert [rule.name for rule in decision.rules if not rule.passed] == ([] if promoted else [BETTER])


@pytest.mark.parametrize(
    ("worse", "promoted"), [(99, True), (100, True), (101, False)], ids=["below", "at-the-risk", "above"]
)
def test_challenger_must_hardly_be_worse(worse, promoted):
    """Of 2,000 samples, so many in which it is worse by more than the margin."""
    differences = np.r_[np.full(worse, -0.021), np.full(2000 - worse, -0.02)]

    decision = decide(against(0.79, differences), GateSettings(champion_margin=0.02, champion_risk=0.05))

    assert decision.promoted is promoted


def test_the_margin_that_would_do_would_do():
    differences = np.random.default_rng(0).normal(0.005, 0.01, 2000)
    rule = rule_of(against(0.79, differences), "probability that it is worse than the champion", champion_margin=0)
    margin = float(rule.missing.removeprefix("a margin of ").removesuffix(" would do"))

    assert 0.2 < rule.value < 0.4
    assert decide(against(0.79, differences), GateSettings(champion_margin=margin)).promoted
    assert not decide(against(0.79, differences), GateSettings(champion_margin=margin - 0.001)).promoted


def test_champion_is_not_beaten_on_images_it_was_trained_on():
    evidence = against(math.nan, [], images=0, challenger=math.nan)

    rule = rule_of(evidence, BETTER, champion_margin=0)

    assert (rule.passed, rule.measured, rule.missing) == (False, "not measured", "such images")


def test_one_group_of_images_cannot_tell_two_models_apart():
    decision = decide(against(0.7, []), GateSettings(champion_margin=1))

    assert [rule.passed for rule in decision.rules] == [True, False, True]
    assert decision.rules[1].measured == "not measured, all test images are of one group"


def test_champion_is_left_alone_where_no_rule_asks():
    assert decide(against(0.9), GateSettings(min_macro_f1=0.5)).promoted


def test_first_winner_needs_no_champion_to_beat_but_must_clear_the_other_rules():
    names = [rule.name for rule in decide(EVIDENCE, GateSettings(min_macro_f1=0.5, champion_margin=0)).rules]

    assert names == ["macro F1", "test images seen in training"]
    assert not decide(EVIDENCE, GateSettings(min_macro_f1=0.9, champion_margin=0)).promoted
    assert not decide(EVIDENCE, GateSettings(champion_margin=0)).promoted


def test_winner_that_has_seen_a_test_image_is_not_promoted():
    decision = decide(replace(EVIDENCE, leaked=1), GateSettings(min_macro_f1=0.5))

    assert decision.reason == ("Rejected: test images seen in training: 1, required none (a test split without it).")


def test_without_any_rule_nothing_is_promoted():
    decision = decide(changed(macro_f1=1.0), GateSettings())

    assert (decision.promoted, decision.rules) == (False, ())
    assert "No gate rule is configured" in decision.reason


def test_slow_winner_is_let_through_where_no_rule_asks():
    assert decide(replace(EVIDENCE, latency_ms=10_000), GateSettings(min_macro_f1=0.5)).promoted


def test_rejection_names_each_missed_rule_with_its_numbers_and_what_was_missing():
    settings = GateSettings(min_macro_f1=0.5, min_class_f1=0.75, max_latency_ms=79.96, champion_margin=0.01)

    decision = decide(against(0.85), settings)

    assert decision.reason == (
        "Rejected: F1 of the weakest class, cat: 0.7000, required at least 0.75 (0.0500 short); latency of one image, "
        "95th percentile: 80.0 ms, required at most 79.96 ms (0.1 ms too long); better than the champion: 0.8000, "
        "required above the champion's 0.8500, on 100 test images that it was not trained on (more than 0.0500 "
        "short); probability that it is worse than the champion by more than 0.01: 1.000, required at most 0.05 (a "
        "margin of 0.0500 would do)."
    )


def test_what_is_missing_is_never_rounded_away():
    assert rule_of(changed(macro_f1=0.79999), "macro F1", min_macro_f1=0.8).missing == "0.0001 short"


def test_document_of_a_decision_holds_every_rule():
    document = decide(EVIDENCE, GateSettings(min_macro_f1=0.75)).to_dict()

    assert document == {
        "promoted": True,
        "reason": "Cleared: macro F1: 0.8000, required at least 0.75; test images seen in training: 0, required none.",
        "rules": [
            {
                "name": "macro F1",
                "passed": True,
                "measured": "0.8000",
                "required": "at least 0.75",
                "missing": "",
                "value": 0.8,
                "bound": 0.75,
            },
            {
                "name": "test images seen in training",
                "passed": True,
                "measured": "0",
                "required": "none",
                "missing": "",
                "value": 0.0,
                "bound": 0.0,
            },
        ],
    }
