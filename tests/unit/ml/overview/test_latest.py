from datetime import timedelta

from ml.approval import Answer, answer_approval, ask_approval, load_decision
from ml.leaderboard import champion_row, leaderboard_rows
from ml.run_summaries import write_summary
from ml.storage import read_json

from .conftest import NOW


def test_without_a_run_there_is_no_latest_one(look):
    latest = look().latest

    assert (latest.run_id, latest.leaderboard, latest.gate, latest.problem) == ("", (), None, "")


def test_latest_run_is_told_as_its_own_page_tells_it(look, story, store):
    latest = look().latest
    evaluation = read_json(store, "runs/three/evaluation.json")

    assert (latest.run_id, latest.snapshot_id) == ("three", "000001-0")
    assert latest.at == store.head("runs/three/decision.json").last_modified
    assert latest.leaderboard == leaderboard_rows(evaluation)
    assert [row.chosen for row in latest.leaderboard] == [True, False]
    assert (latest.champion, latest.champion_version) == (champion_row(evaluation), 2)


def test_decision_is_told_rule_by_rule(look, story, store):
    gate = look().latest.gate
    decision = read_json(store, "runs/three/decision.json")

    assert (gate.cleared, gate.reason) == (False, decision["reason"])
    assert [(rule.name, rule.passed) for rule in gate.rules] == [
        ("macro F1", False),
        ("test images seen in training", True),
    ]
    assert gate.rules[0].missing == decision["rules"][0]["missing"] != ""
    assert (gate.promoted, gate.published, gate.waits) == (None, None, False)
    assert gate.outcome == decision["reason"]


def test_approval_is_told_as_soon_as_it_is_given(look, story, store):
    decided = load_decision(store, "two")
    store.delete("summaries/runs/classifier/three.json")
    ask_approval(store, "two", decided, NOW)
    write_summary(store, "classifier", "two")
    asked = look().latest.gate
    answer_approval(store, "two", Answer(True, NOW.isoformat(), "ann"))

    answered = look().latest.gate

    assert (asked.waits, asked.approval) == (True, "Waits for approval since 2026-01-04 at 12:00 UTC.")
    assert (answered.waits, answered.approval) == (False, "Approved by ann on 2026-01-04 at 12:00 UTC.")
    assert answered.promoted == 2


def test_page_written_again_makes_no_run_the_latest(look, story, store):
    write_summary(store, "classifier", "one")

    assert look().latest.run_id == "three"


def test_runs_from_before_there_were_summaries_are_found_by_the_last_promotion(look, story, store):
    for info in list(store.list("summaries/")):
        store.delete(info.key)

    latest = look().latest

    assert (latest.run_id, latest.at) == ("two", None)
    assert latest.gate.outcome == "Promoted as version 2, which serves now."


def test_removed_run_is_said_to_be(look, story, store):
    for info in list(store.list("runs/three/")):
        store.delete(info.key)

    latest = look().latest

    assert (latest.run_id, latest.leaderboard, latest.gate) == ("three", (), None)
    assert "The evaluation of run three cannot be read" in latest.problem
    assert "The decision on run three cannot be read" in latest.problem
    assert "It was removed, or never written." in latest.problem


def test_damaged_decision_leaves_the_leaderboard(look, story, store):
    store.put("runs/three/decision.json", b'{"variant": "mobilenet"}')

    latest = look().latest

    assert len(latest.leaderboard) == 2
    assert latest.gate is None
    assert "The decision on run three cannot be read: it is damaged (KeyError: 'promoted')" in latest.problem


def test_damaged_evaluation_leaves_the_decision(look, story, store):
    store.put("runs/three/evaluation.json", b'{"leaderboard": ')

    latest = look().latest

    assert (latest.leaderboard, latest.gate.cleared) == ((), False)
    assert "runs/three/evaluation.json is damaged" in latest.problem


def test_age_is_counted_to_the_moment_of_the_page(look, story):
    overview = look()

    assert overview.at - overview.champion.since == overview.champion.age > timedelta(days=2)
