"""What the forms offer and refuse, by Airflow's own validation of a run's values."""

from types import SimpleNamespace

import pytest
from airflow.sdk.api.datamodels._generated import DagRunType
from airflow.sdk.definitions.param import ParamsDict
from airflow.sdk.exceptions import ParamValidationError

from ml.run_settings import CHOICES, choices_of
from plugins.forms import (
    batch_predict_form,
    housekeeping_form,
    ingest_form,
    monitor_form,
    overrides_of,
    promote_form,
    retrain_form,
    rollback_form,
    who_asked,
)

FORMS = {
    "retrain": retrain_form,
    "rollback": rollback_form,
    "promote": promote_form,
    "batch_predict": batch_predict_form,
    "housekeeping": housekeeping_form,
    "ingest_images": ingest_form,
    "monitor": monitor_form,
}
#: Of the form of `retrain`, in the order of the page.
SECTIONS = {
    None: ["variants", "snapshot_id", "trials", "force", "reason"],
    "Training, for this run only": ["attention", "epochs", "learning_rate", "weights", "imbalance", "warm_start"],
    "Gate, for this run only": [
        "min_macro_f1",
        "min_class_f1",
        "min_class_recall",
        "champion_margin",
        "champion_risk",
        "approval",
    ],
}


def filled(dag_id, **values):
    """What a run's tasks are given; raises as Airflow does, which answers 400 with the text."""
    params = ParamsDict(FORMS[dag_id]())
    for name, value in values.items():
        params[name] = value
    return params.validate()


@pytest.mark.parametrize("dag_id", FORMS)
def test_every_field_has_a_title_and_says_what_it_means_empty(dag_id):
    for name, param in FORMS[dag_id]().items():
        assert param.schema["title"], name
        assert param.description, name
        if "null" in param.schema["type"]:
            assert "Empty: " in param.description, name


@pytest.mark.parametrize("dag_id", FORMS)
def test_every_dag_has_its_form(load_dag, dag_id):
    params = load_dag(dag_id).params

    assert {name: params.get_param(name).serialize() | {"source": None} for name in params} == {
        name: param.serialize() for name, param in FORMS[dag_id]().items()
    }


@pytest.mark.parametrize("dag_id", sorted(set(FORMS) - {"rollback", "promote"}))
def test_a_run_that_nobody_filled_in_a_form_for_can_start(dag_id):
    assert filled(dag_id).keys() == FORMS[dag_id]().keys()


def test_fields_of_retrain_stand_in_sections():
    form = retrain_form()
    sections = {}
    for name, param in form.items():
        sections.setdefault(param.schema.get("section"), []).append(name)

    assert sections == SECTIONS


def test_an_empty_form_chooses_nothing_and_every_override_has_a_field():
    given = filled("retrain")

    assert choices_of(overrides_of(given)) == {}
    assert set(overrides_of(given)) == set(CHOICES)


def test_what_is_chosen_in_the_form_is_what_the_settings_take():
    given = filled("retrain", attention="without", warm_start="no", weights="random", epochs=3, approval="ask")

    assert choices_of(overrides_of(given)) == {
        "attention": False,
        "warm_start": False,
        "weights": "random",
        "epochs": 3,
        "approval": "ask",
    }


@pytest.mark.parametrize("field", ["attention", "weights", "imbalance", "warm_start", "approval"])
def test_every_word_of_a_list_is_one_that_the_settings_know(field):
    schema = retrain_form()[field].schema

    assert schema["enum"][0] is None
    assert set(schema["values_display"]) == {"null", *schema["enum"][1:]}
    for word in schema["enum"][1:]:
        choices_of({field: word})


@pytest.mark.parametrize(
    ("dag_id", "values", "message"),
    [
        ("retrain", {"variants": "vgg16"}, "param variants: 'vgg16' is not of type 'null', 'array'"),
        ("retrain", {"variants": [1]}, "param variants: 1 is not of type 'string'"),
        ("retrain", {"trials": 300}, "param trials: 300 is greater than the maximum of 243"),
        ("retrain", {"force": "yes"}, "param force: 'yes' is not of type 'boolean'"),
        ("retrain", {"reason": "x" * 1001}, "is too long"),
        ("retrain", {"epochs": 0}, "param epochs: 0 is less than the minimum of 1"),
        ("retrain", {"epochs": 1.5}, "param epochs: 1.5 is not of type 'null', 'integer'"),
        ("retrain", {"learning_rate": 0}, "param learning_rate: 0 is less than or equal to the minimum of 0"),
        ("retrain", {"attention": "off"}, "param attention: 'off' is not one of [None, 'with', 'without']"),
        ("retrain", {"weights": "mine"}, "param weights: 'mine' is not one of [None, 'imagenet', 'random']"),
        ("retrain", {"min_macro_f1": 60}, "param min_macro_f1: 60 is greater than the maximum of 1"),
        ("retrain", {"champion_risk": 1}, "param champion_risk: 1 is greater than or equal to the maximum of 1"),
        ("retrain", {"approval": "none"}, "param approval: 'none' is not one of [None, 'ask']"),
        ("rollback", {}, "param reason: '' "),
        ("rollback", {"reason": "no"}, "param reason: 'no' is too short"),
        ("rollback", {"reason": "worse", "version": 0}, "param version: 0 is less than the minimum of 1"),
        ("promote", {"reason": "better"}, "param retrain_id: '' "),
        ("promote", {"retrain_id": "run", "reason": "no"}, "param reason: 'no' is too short"),
        ("promote", {"retrain_id": "run", "reason": "better", "against_the_gate": 1}, "1 is not of type 'boolean'"),
        ("batch_predict", {"prefix": ""}, "param prefix: '' "),
        ("batch_predict", {"prefix": "/incoming"}, "param prefix: '/incoming' does not match"),
        ("batch_predict", {"shard_size": 0}, "param shard_size: 0 is less than the minimum of 1"),
        ("ingest_images", {"reason": 7}, "param reason: 7 is not of type 'null', 'string'"),
        ("monitor", {"window_hours": 0}, "param window_hours: 0 is less than or equal to the minimum of 0"),
    ],
)
def test_a_wrong_value_is_refused_with_its_field_and_why(dag_id, values, message):
    with pytest.raises(ParamValidationError) as refused:
        filled(dag_id, **values)

    assert message in str(refused.value)


def test_a_name_of_no_field_is_left_for_the_step_to_refuse():
    """Airflow takes any name."""
    assert overrides_of(filled("retrain", epoch=3))["epoch"] == 3


def test_the_list_of_variants_offers_what_the_installation_names():
    assert retrain_form({})["variants"].schema["examples"] == ["vgg16", "vgg19", "mobilenet", "xception"]
    offered = retrain_form({"QUARTET_VARIANTS": "narrow, wide"})["variants"].schema["examples"]
    assert offered == ["narrow", "wide"]


def test_a_variant_that_the_list_does_not_offer_can_be_named():
    assert filled("retrain", variants=["mine"])["variants"] == ["mine"]
    assert filled("retrain", variants=None)["variants"] is None, "the page sends null for an emptied list"


@pytest.mark.parametrize(
    ("run_type", "name", "asked"),
    [
        ("manual", "jane", "jane"),
        ("manual", None, "unknown user of Airflow"),
        ("operator_triggered", None, "another DAG"),
        ("asset_triggered", None, "an event of an asset"),
        ("scheduled", None, "the schedule"),
    ],
)
def test_who_asked_for_a_run_is_a_person_where_there_is_one(run_type, name, asked):
    assert who_asked(SimpleNamespace(run_type=DagRunType(run_type), triggering_user_name=name)) == asked
