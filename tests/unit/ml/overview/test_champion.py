from datetime import timedelta

import pytest

from ml.candidates import RANDOM_WEIGHTS
from ml.errors import DataError
from ml.promotions import load_changes
from ml.rollback import Request, roll_back
from ml.run_summaries import RunSummary
from ml.storage import dump_json, read_json
from promoted import NOON

from .conftest import NOW


def test_nothing_serves_before_the_first_promotion(look):
    champion = look().champion

    assert (champion.version, champion.score, champion.problem) == (None, None, "")


def test_champion_is_told_with_its_figures_its_age_and_who_made_it_that(look, story, store):
    champion = look().champion
    row = read_json(store, "runs/two/evaluation.json")["leaderboard"][0]

    assert (champion.version, champion.variant, champion.run_id) == (2, "mobilenet", "two")
    assert (champion.by, champion.reason, champion.action) == ("gate", "for a test", "promote")
    assert champion.since == NOON + timedelta(minutes=2)
    assert champion.age == NOW - champion.since
    assert champion.score.macro_f1 == row["macro_f1"]
    assert list(champion.score.macro_f1_interval) == row["metrics"]["intervals"]["macro_f1"]
    assert list(champion.score.accuracy_interval) == row["metrics"]["intervals"]["accuracy"]
    assert (champion.weights, champion.previous, champion.problem) == ("imagenet", 1, "")


def test_champion_after_a_rollback_serves_since_then(look, story, context):
    roll_back(context, Request("two was worse", "ann"), NOW - timedelta(hours=5))

    champion = look().champion

    assert (champion.version, champion.run_id, champion.action) == (1, "one", "rollback")
    assert (champion.by, champion.reason, champion.age) == ("ann", "two was worse", timedelta(hours=5))


def test_random_weights_are_said(look, story, store):
    document = read_json(store, "summaries/runs/classifier/two.json")
    store.put("summaries/runs/classifier/two.json", dump_json(document | {"weights": "random"}))

    assert look().champion.weights_notice == RANDOM_WEIGHTS


def test_champion_whose_run_has_no_summary_is_looked_up_in_its_run(look, story, store):
    expected = look().champion
    store.delete("summaries/runs/classifier/two.json")

    assert look().champion == expected


def test_champion_whose_run_was_removed_is_told_from_its_summary(look, story, store):
    expected = look().champion
    for info in list(store.list("runs/two/")):
        store.delete(info.key)

    assert look().champion == expected


def test_champion_of_which_nothing_is_left_but_the_record_is_told_with_what_is_missing(look, story, store):
    for info in [*store.list("runs/two/"), *store.list("summaries/")]:
        store.delete(info.key)

    champion = look().champion

    assert (champion.version, champion.run_id, champion.score) == (2, "two", None)
    assert "How good version 2 is cannot be read" in champion.problem
    assert "runs/two/evaluation.json" in champion.problem


def test_damaged_newest_record_leaves_open_what_serves(look, story, store):
    store.put("promotions/classifier/00000002.json", b'{"number": 2}')

    overview = look()

    assert overview.champion.version is None
    assert "What serves is not known" in overview.champion.problem
    assert "promotions/classifier/00000002.json" in overview.champion.problem
    assert [change.number for change in overview.history.changes] == [1]
    assert overview.choices.rollbacks == overview.choices.promotable == ()


def test_damaged_record_of_the_champion_leaves_its_number(look, story, store, context):
    """What it was made by is not known any more; that it serves is, by the newer record."""
    roll_back(context, Request("two was worse", "ann"), NOW)
    store.put("promotions/classifier/00000001.json", b"[]")
    store.put("promotions/classifier/00000003.json", dump_json(_to_two(context)))

    champion = look().champion

    assert champion.version == 1
    assert "00000001.json" in champion.problem


def _to_two(context):
    """The rollback's record, spelt as that of a trial."""
    change = read_json(context.store, "promotions/classifier/00000003.json")
    return change | {"action": "canary", "version": 3, "serving": change["serving"] | {"canary": 3}}


def test_summary_that_is_none_is_refused(story):
    document = story["one"].to_dict()
    for damaged in ({}, [], None, document | {"decided_at": "yesterday"}, document | {"more": 1}):
        with pytest.raises(DataError, match="somewhere is no summary of a run"):
            RunSummary.from_dict(damaged, "somewhere")
    assert RunSummary.from_dict(document, "somewhere") == story["one"]


def test_record_that_is_none_is_refused_by_the_steps_too(story, store):
    store.put("promotions/classifier/00000002.json", b"[")

    with pytest.raises(DataError, match=r"00000002\.json is no record of a promotion"):
        load_changes(store, "classifier")
