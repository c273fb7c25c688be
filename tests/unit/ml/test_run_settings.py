import pytest

from ml.context import Context
from ml.errors import ConfigError
from ml.run_settings import CHOICES, choices_of, differences, gate_notice, lay_over, run_notice
from ml.storage import dump_json

#: A choice of each field, and what the settings say then.
CHOSEN = {
    "attention": ("without", "train", "attention", False),
    "epochs": (3, "train", "epochs", 3),
    "learning_rate": (0.01, "train", "learning_rate", 0.01),
    "weights": ("imagenet", "weights", "source", "imagenet"),
    "imbalance": ("class_weight", "train", "imbalance", "class_weight"),
    "warm_start": ("yes", "train", "warm_start", True),
    "min_macro_f1": (0.3, "gate", "min_macro_f1", 0.3),
    "min_class_f1": (0.4, "gate", "min_class_f1", 0.4),
    "min_class_recall": (0.5, "gate", "min_class_recall", 0.5),
    "champion_margin": (0.02, "gate", "champion_margin", 0.02),
    "champion_risk": (0.01, "gate", "champion_risk", 0.01),
}


def laid_over(settings, **values):
    return lay_over(settings, choices_of(values))


@pytest.mark.parametrize("name", CHOSEN)
def test_a_choice_becomes_the_setting_that_it_stands_for(settings, name):
    value, section, key, expected = CHOSEN[name]

    assert getattr(getattr(laid_over(settings, **{name: value}), section), key) == expected


def test_every_choice_is_tried_here():
    assert {*CHOSEN, "approval"} == set(CHOICES)


def test_what_was_not_chosen_stays_as_it_is_secrets_included(make_settings):
    settings = make_settings({"alerts": {"slack": {"webhook_url": "https://hooks.example/secret"}}})

    effective = laid_over(settings, epochs=3, weights=None)

    assert effective.alerts == settings.alerts
    assert effective.weights == settings.weights
    assert effective.train == settings.train.model_copy(update={"epochs": 3, "warm_epochs": 3})


def test_nothing_chosen_changes_nothing(settings):
    assert laid_over(settings, **dict.fromkeys(CHOICES)) == settings


def test_without_attention_there_is_nothing_to_compare_with(make_settings):
    settings = make_settings({"candidates": {"ablation": True, "promote_ablation": True}})

    effective = laid_over(settings, attention="without")

    assert not effective.candidates.ablation
    assert "candidates.ablation is false instead of true" in map(str, differences(settings, effective))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epoch": 3}, r"'epoch' cannot be chosen for a run\. Remedy: Known: attention, epochs, "),
        ({"attention": "maybe"}, r"attention = 'maybe' means nothing\. Remedy: Known: with, without\."),
        ({"epochs": 0}, r"Refused for this run: epochs = 0: Input should be greater than or equal to 1\. Remedy"),
        ({"weights": "mine"}, r"weights = 'mine': Input should be 'imagenet' or 'random'"),
        ({"min_macro_f1": 60}, r"min_macro_f1 = 60: Input should be less than or equal to 1"),
        ({"learning_rate": "fast"}, r"learning_rate = 'fast': Input should be a valid number"),
        ({"approval": "none"}, r"approval = 'none': a run may ask a person, never do without one who is configured"),
    ],
    ids=["unknown", "word", "epochs", "weights", "share", "text", "approval"],
)
def test_a_wrong_value_is_refused_by_the_name_of_its_field(settings, values, message):
    with pytest.raises(ConfigError, match=message):
        laid_over(settings, **values)


def test_a_choice_that_does_not_go_with_the_settings_is_named(make_settings):
    settings = make_settings({"candidates": {"ablation": True}})

    with pytest.raises(ConfigError, match=r"warm_start: .*ablation compares heads that are trained alike"):
        laid_over(settings, warm_start="yes")


def test_asking_a_person_adds_a_wait_and_takes_none_away(make_settings):
    own = make_settings({"gate": {"approval": {"timeout_hours": 2, "approvers": ["jane"]}}})

    assert laid_over(make_settings(), approval="ask").gate.approval is not None
    assert laid_over(own, approval="ask").gate.approval == own.gate.approval
    assert laid_over(own, approval=None).gate.approval == own.gate.approval


def plan_of(settings, reason="", by="jane", **values):
    found = differences(settings, laid_over(settings, **values))
    return {"differences": [one._asdict() for one in found], "reason": reason, "asked_by": by}


def test_notices_say_what_differs_from_what_and_who_asked(make_settings):
    settings = make_settings({"gate": {"min_macro_f1": 0.9}})

    plan = plan_of(settings, "to see it through", min_macro_f1=0.3, learning_rate=0.01)

    assert run_notice(plan) == (
        "For this run train.learning_rate is 0.01 instead of 0.0003; gate.min_macro_f1 is 0.3 instead of 0.9, asked "
        "for by jane (to see it through)."
    )
    assert gate_notice(plan) == (
        "For this run gate.min_macro_f1 is 0.3 instead of 0.9, asked for by jane (to see it through)."
    )


def test_what_was_chosen_as_configured_is_no_difference(make_settings):
    plan = plan_of(make_settings({"gate": {"min_macro_f1": 0.9}}), min_macro_f1=0.9)

    assert (run_notice(plan), gate_notice(plan)) == (None, None)


def test_a_wait_for_a_person_is_told_in_words(settings):
    told = gate_notice(plan_of(settings, by="", approval="ask"))

    assert told == (
        "For this run a person is asked before a promotion, which the settings do without, asked for by somebody "
        "unknown."
    )


def test_a_plan_of_an_earlier_version_tells_of_nothing():
    assert run_notice({"run_id": "old"}) is None


def test_a_context_of_a_run_has_what_was_chosen_for_it(context: Context):
    context.store.put("runs/mine/plan.json", dump_json({"overrides": {"epochs": 3}}))

    assert context.for_run("mine").settings.train.epochs == 3
    assert context.for_run("another") == context
    assert context.for_run("mine").for_run("mine") == context.for_run("mine")


def test_settings_that_have_changed_since_are_told_where_the_choice_does_not_fit_any_more(context: Context):
    context.store.put("runs/mine/plan.json", dump_json({"overrides": {"epochs": 0}}))

    with pytest.raises(ConfigError, match="Refused for this run: epochs = 0"):
        context.for_run("mine")
