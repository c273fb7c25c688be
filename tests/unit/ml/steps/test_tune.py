import pytest

from ml.candidates import load_candidate
from ml.context import Context
from ml.steps import split, train, tune
from ml.storage import read_json

from .conftest import extract_features

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def tuned(first_run):
    """A search of four trials over what the first run has cached, and a head that was trained after it."""
    settings = first_run.context.settings
    changed = settings.train.model_copy(update={"epochs": 3})
    context = Context(settings.model_copy(update={"train": changed}), first_run.context.store)
    split.run(context, "tuned", variants=["narrow"])
    extract_features(context, "tuned")
    found = tune.run(context, "tuned", "narrow", 4)
    train.run(context, "tuned", "narrow")
    return context, found


def test_search_is_kept_with_all_its_trials(tuned):
    context, found = tuned

    assert read_json(context.store, "runs/tuned/narrow/tuning.json") == found
    assert {trial["number"] for trial in found["trials"]} == {0, 1, 2, 3}
    assert found["trials"][0]["changes"] == found["changes"]


def test_head_is_trained_with_what_was_found(tuned):
    context, found = tuned
    train_settings = load_candidate(context.store, "tuned", "narrow").settings["train"]

    assert found["changes"].items() <= train_settings.items()
    assert train_settings["epochs"] == 3


def test_other_runs_are_trained_as_configured(tuned, first_run):
    context, _ = tuned

    assert tune.tuned_context(context, "first", "narrow") is context
