import math
import operator
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.config import ClassFloors, GateSettings
from ml.errors import ConfigError
from ml.gating import FEWEST_GROUPS, Evidence, decide
from ml.intervals import Comparison


def line(label, f1, recall=None, support=40):
    return {"label": label, "f1": f1, "recall": f1 if recall is None else recall, "precision": f1, "support": support}


REPORT = (line("cat", 0.7, recall=0.75), line("dog", 0.9, recall=0.95))
WINNER = {"macro_f1": 0.8, "calibration_error": 0.1, "report": REPORT}
EVIDENCE = Evidence(WINNER, latency_ms=80.0)


def changed(**metrics):
    return replace(EVIDENCE, metrics=WINNER | metrics)


def against(champion, differences=None, images=100, challenger=0.8, groups=50):
    if differences is None:
        differences = np.full(2000, challenger - champion)
    compared = Comparison(images, groups, groups, challenger, champion, np.asarray(differences))
    return replace(EVIDENCE, comparison=compared)


def rule_of(evidence, name, **settings):
    decision = decide(evidence, GateSettings(**settings))
    (rule,) = (rule for rule in decision.rules if rule.name == name)
    return rule


def report_with(figure, value):
    return changed(report=(line("dog", 0.9), line("cat", 0.95) | {figure: value}))


def with_worst(**figures):
    """Evidence with a worst slice."""
    worst = {"attribute": "site", "value": "north", "images": 40, "accuracy": 0.8} | figures
    return changed(slices={"min_images": 30, "worst": worst})


def worse_by(value):
    """In all samples by so much, though it looks better."""
    return against(0.79, np.full(2000, -value))


def worse_in(samples):
    """In so many of 2,000."""
    return against(0.79, np.r_[np.full(samples, -0.01), np.full(2000 - samples, 0.01)])


SHARES = st.floats(0, 1)
#: By the probability that they amount to.
WORSE = {
    found.comparison.probability_worse(0): found for found in (worse_in(samples) for samples in range(1, 2000, 37))
}


@dataclass(frozen=True)
class Rule:
    """How a rule is put to the test.

    Attributes:
        settings: that ask for a bound.
        evidence: in which so much was measured.
        at: what is measured where the bound is looked at closely.
        meets: of what was measured, and of the bound.
        unmeasured: evidence that lacks the figure.
    """

    settings: Callable[[float], dict[str, Any]]
    evidence: Callable[[float], Evidence]
    at: float = 0.75
    meets: Callable[[float, float], bool] = operator.ge
    values: st.SearchStrategy[float] = SHARES
    bounds: st.SearchStrategy[float] = SHARES
    unmeasured: Evidence | None = None

    def promotes(self, value, bound):
        return decide(self.evidence(value), GateSettings(**self.settings(bound))).promoted


def setting(name):
    return lambda bound: {name: bound}


def of_the_cat(name):
    return lambda bound: {"classes": {"cat": {name: bound}}}


#: By setting; a floor of single classes as ``classes.<its name>``.
RULES = {
    "min_macro_f1": Rule(setting("min_macro_f1"), lambda value: changed(macro_f1=value)),
    "min_class_f1": Rule(setting("min_class_f1"), partial(report_with, "f1"), values=st.floats(0, 0.9)),
    "min_class_recall": Rule(setting("min_class_recall"), partial(report_with, "recall"), values=st.floats(0, 0.9)),
    "classes.min_f1": Rule(of_the_cat("min_f1"), partial(report_with, "f1")),
    "classes.min_recall": Rule(of_the_cat("min_recall"), partial(report_with, "recall")),
    "max_calibration_error": Rule(
        setting("max_calibration_error"), lambda value: changed(calibration_error=value), meets=operator.le
    ),
    "max_latency_ms": Rule(
        setting("max_latency_ms"),
        lambda value: replace(EVIDENCE, latency_ms=value),
        at=80.0,
        meets=operator.le,
        values=st.floats(0, 1e5),
        bounds=st.floats(1e-3, 1e5),
    ),
    "max_size_mb": Rule(
        setting("max_size_mb"),
        lambda value: replace(EVIDENCE, size_mb=value),
        at=100.0,
        meets=operator.le,
        values=st.floats(0, 1e5),
        bounds=st.floats(1e-3, 1e5),
    ),
    "min_slice_accuracy": Rule(setting("min_slice_accuracy"), lambda value: with_worst(accuracy=value)),
    # A challenger that is worse by exactly the margin is too bad.
    "champion_margin": Rule(
        setting("champion_margin"), worse_by, at=0.02, meets=operator.lt, unmeasured=against(0.79, [], groups=1)
    ),
    "champion_risk": Rule(
        lambda bound: {"champion_margin": 0, "champion_risk": bound},
        WORSE.__getitem__,
        at=min(WORSE, key=lambda probability: abs(probability - 0.05)),
        meets=operator.le,
        values=st.sampled_from(sorted(WORSE)),
        bounds=st.floats(1e-3, 0.999),
        unmeasured=against(0.79, [], groups=1),
    ),
}
every_rule = pytest.mark.parametrize("name", RULES)


def test_every_setting_is_put_to_the_test():
    assert {name.split(".")[0] for name in RULES} == set(GateSettings.model_fields) - {"approval"}
    assert {name.split(".")[1] for name in RULES if "." in name} == set(ClassFloors.model_fields)


@every_rule
@pytest.mark.parametrize("towards", [0, None, math.inf], ids=["below", "at", "above"])
def test_bounds_are_kept_to_the_last_digit(name, towards):
    rule = RULES[name]
    bound = rule.at if towards is None else math.nextafter(rule.at, towards)

    assert rule.promotes(rule.at, bound) is rule.meets(rule.at, bound)


@every_rule
@given(data=st.data())
def test_rules_are_met_on_one_side_of_any_bound(name, data):
    rule = RULES[name]
    value, bound = data.draw(rule.values), data.draw(rule.bounds)

    assert rule.promotes(value, bound) is rule.meets(value, bound)


@every_rule
@given(data=st.data())
def test_missed_rule_says_what_was_missing_and_a_met_one_does_not(name, data):
    rule = RULES[name]
    settings = GateSettings(**rule.settings(data.draw(rule.bounds)))

    rules = decide(rule.evidence(data.draw(rule.values)), settings).rules

    assert all(bool(one.missing) is not one.passed for one in rules)


@every_rule
@given(data=st.data())
def test_what_was_not_measured_meets_no_bound(name, data):
    rule = RULES[name]
    evidence = rule.unmeasured or rule.evidence(math.nan)

    decision = decide(evidence, GateSettings(**rule.settings(data.draw(rule.bounds))))

    assert not decision.promoted
    (missed,) = (one for one in decision.rules if not one.passed)
    assert missed.measured.startswith("not measured")
    assert missed.value is None


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


@pytest.mark.parametrize("setting", ["max_latency_ms", "max_size_mb"])
def test_budget_that_nobody_measured_is_not_kept(setting):
    unmeasured = replace(EVIDENCE, latency_ms=None, size_mb=None)

    assert not decide(unmeasured, GateSettings(**{setting: 1e9})).promoted


def test_worst_slice_is_named_with_the_images_that_were_missing():
    rule = decide(with_worst(accuracy=0.775), GateSettings(min_slice_accuracy=0.8)).rules[0]

    assert (rule.name, rule.missing) == (
        "accuracy of the worst slice, site north",
        "1 more of its 40 images to be right",
    )


def test_slices_that_are_all_too_small_meet_no_floor():
    evidence = changed(slices={"min_images": 30, "worst": None})

    rule = decide(evidence, GateSettings(min_slice_accuracy=0)).rules[0]

    assert (rule.passed, rule.measured, rule.value) == (False, "every slice is too small", None)
    assert rule.missing == "a slice of 30 test images or more"


@pytest.mark.parametrize(
    "settings",
    [
        {"min_class_f1": 0.0},
        {"min_class_recall": 0.0},
        {"classes": {"bird": {"min_f1": 0}}},
        {"classes": {"bird": {"min_recall": 0}}},
    ],
)
def test_class_without_test_images_meets_no_floor(settings):
    evidence = changed(report=(*REPORT, line("bird", 0.0, support=0)))

    rule = decide(evidence, GateSettings(**settings)).rules[0]

    assert (rule.passed, rule.measured, rule.missing) == (False, "no test images", "images of it in the test split")
    assert "bird" in rule.name


@pytest.mark.parametrize("found", [1.0, 0.0], ids=["found", "missed"])
@pytest.mark.parametrize("floors", [{"min_class_f1": 1}, {"min_class_recall": 1}, {"classes": {"cat": {"min_f1": 1}}}])
def test_one_image_a_class_meets_a_floor_or_does_not(floors, found):
    evidence = changed(report=(line("cat", found, support=1), line("dog", 1.0, support=1)))

    assert decide(evidence, GateSettings(**floors)).promoted is bool(found)


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


BETTER, NO_BETTER = "better than the champion", "probability that it is no better than the champion"


@pytest.mark.parametrize(
    ("champion", "promoted"),
    [(0.79, True), (math.nextafter(0.8, 0), True), (0.8, False), (math.nextafter(0.8, 1), False), (math.nan, False)],
    ids=["worse", "a-digit-worse", "tie", "a-digit-better", "unknown"],
)
def test_challenger_must_look_better_and_a_tie_keeps_the_champion(champion, promoted):
    decision = decide(against(champion, np.zeros(2000)), GateSettings(champion_margin=0.5))

    assert decision.promoted is promoted
    assert [rule.name for rule in decision.rules if not rule.passed] == ([] if promoted else [BETTER])


def test_samples_in_which_neither_is_better_prove_nothing():
    """A challenger that is ahead by one image: where that is not drawn, there is a tie."""
    differences = np.r_[np.zeros(700), np.full(1300, 0.001)]

    rule = rule_of(against(0.79, differences), NO_BETTER, champion_margin=0)

    assert (rule.passed, rule.value) == (False, pytest.approx(0.35, abs=0.01))


@pytest.mark.parametrize("groups", [FEWEST_GROUPS, FEWEST_GROUPS - 1])
def test_few_groups_cannot_tell_two_models_apart(groups):
    decision = decide(against(0.7, groups=groups), GateSettings(champion_margin=0))

    assert decision.promoted is (groups == FEWEST_GROUPS)
    if not decision.promoted:
        assert "not measured on 19 groups of images, required at most 0.05 (20 groups)" in decision.reason


@pytest.mark.parametrize("risk", [0.01, 0.05, 0.2])
def test_the_margin_that_would_do_would_do(risk):
    differences = np.random.default_rng(0).normal(0.005, 0.01, 2000)
    evidence = against(0.79, differences)
    rule = rule_of(evidence, NO_BETTER, champion_margin=0, champion_risk=risk)
    margin = float(rule.missing.removeprefix("a margin above ").removesuffix(" would do"))

    assert 0.2 < rule.value < 0.4
    assert decide(evidence, GateSettings(champion_margin=margin + 1e-9, champion_risk=risk)).promoted
    assert not decide(evidence, GateSettings(champion_margin=margin - 0.001, champion_risk=risk)).promoted


def test_champion_is_not_beaten_on_images_it_was_trained_on():
    evidence = against(math.nan, [], images=0, challenger=math.nan)

    rule = rule_of(evidence, BETTER, champion_margin=0)

    assert (rule.passed, rule.measured, rule.missing) == (False, "not measured", "such images")


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
        "short); probability that it is worse than the champion by 0.01 or more: 1.000, required at most 0.05 (a "
        "margin above 0.0500 would do)."
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
