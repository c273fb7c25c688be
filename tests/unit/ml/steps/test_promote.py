import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from ml.candidates import load_candidate
from ml.config import CanarySettings, PromotionSettings
from ml.context import Context
from ml.errors import DataError
from ml.promotions import find_champion, load_changes
from ml.registry import Registry
from ml.steps import promote
from ml.storage import dump_json, open_store, read_json
from promoted import record_promotion

from .conftest import NOW, tiny_settings

pytestmark = pytest.mark.slow


@pytest.fixture
def context(first_run, tmp_path):
    """A copy of the first run as it was between publication and promotion."""
    before = Path(first_run.context.settings.store.url).parent
    shutil.copytree(before / "store", tmp_path / "store")
    shutil.copy(before / "mlflow.db", tmp_path)
    settings = tiny_settings(tmp_path)
    store = open_store(settings.store)
    for info in list(store.list("promotions/")):
        store.delete(info.key)
    return Context(settings, store)


def asking_for_a_trial(context):
    promotion = PromotionSettings(canary=CanarySettings())
    return Context(context.settings.model_copy(update={"promotion": promotion}), context.store)


def test_winner_becomes_version_1_and_the_champion(first_run):
    champion = find_champion(first_run.context.store, "tiny")

    assert first_run.promotion["version"] == 1
    assert champion == (1, "first", first_run.evaluation["chosen"])
    assert Registry(first_run.context.settings).champion() == 1


def test_promotion_is_on_record_with_what_it_rests_on(first_run):
    (change,) = load_changes(first_run.context.store, "tiny")

    assert (change.action, change.run_id, change.by) == ("promote", "first", "gate")
    assert change.snapshot_id == first_run.plan["snapshot_id"]
    assert change.reason.startswith("Cleared: macro F1")
    assert len(change.evidence["decision_sha256"]) == 64


def test_promoting_again_changes_nothing(context):
    first = promote.run(context, "first", NOW)
    before = load_changes(context.store, "tiny")

    assert promote.run(context, "first", NOW + timedelta(days=1)) == first
    assert load_changes(context.store, "tiny") == before


def test_earlier_promotion_takes_nothing_back_from_a_later_one(context):
    first = promote.run(context, "first", NOW)
    record_promotion(context.store, "tiny", "other", "wide", version=2, at=NOW + timedelta(days=1))

    again = promote.run(context, "first", NOW + timedelta(days=2))

    assert again == first
    assert find_champion(context.store, "tiny").version == 2


def test_what_was_better_than_another_champion_is_not_promoted(context):
    """Somebody was quicker: what was proven holds against the champion of then."""
    record_promotion(context.store, "tiny", "other", "wide", version=7)

    with pytest.raises(DataError, match=r"compared with another champion \(none\) than today's \(version 7\)"):
        promote.run(context, "first", NOW)
    assert find_champion(context.store, "tiny").version == 7


def test_without_the_trial_that_the_settings_ask_for_nothing_is_promoted(context):
    with pytest.raises(DataError, match=r"Version 1 was not on trial yet"):
        promote.run(asking_for_a_trial(context), "first", NOW)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"passed": False, "reason": "errors: 40.0%"}, "did not stand its trial: errors: 40.0%"),
        ({"version": 9}, "Version 9 did not stand its trial"),
        ({}, "Version 1 is not on trial any more"),
    ],
    ids=["failed", "of-another", "replaced"],
)
def test_a_trial_that_does_not_carry_the_promotion_is_named(context, changes, said):
    trial = {"version": 1, "passed": True, "reason": "", "checks": [], "figures": {}}
    context.store.put("runs/first/canary.json", dump_json(trial | changes))

    with pytest.raises(DataError, match=said):
        promote.run(asking_for_a_trial(context), "first", NOW)


def test_an_alias_that_a_killed_task_left_is_mended(context):
    promote.run(context, "first", NOW)
    registry = Registry(context.settings)
    registry.point_aliases(None, None)

    promote.run(context, "first", NOW)

    assert registry.champion() == 1


def test_ensemble_is_champion_under_its_name(voting_run, ensemble_promotion):
    champion = find_champion(voting_run.context.store, "tiny")

    assert champion == (ensemble_promotion["version"], "vote", "ensemble")
    contender = load_candidate(voting_run.context.store, champion.run_id, champion.variant)
    assert len(contender.members) == 2


def test_the_decision_says_which_champion_it_compared_with(first_run, second_run):
    assert first_run.decision["champion"] is None
    assert second_run.decision["champion"] == 1
    assert read_json(second_run.context.store, "runs/second/decision.json")["champion"] == 1
