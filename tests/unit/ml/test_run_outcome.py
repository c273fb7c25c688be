import pytest

from bench.decided import store_run
from ml.approval import Answer, answer_approval, ask_approval, load_decision
from ml.errors import DataError, NotFoundError
from ml.leaderboard import champion_row, leaderboard_rows, row_of
from ml.orders import Order, store_order
from ml.run_outcome import load_outcome
from ml.storage import dump_json, read_json
from promoted import NOON


@pytest.fixture
def decided(make_settings, store):
    """Decides on a run with so many wrong answers."""
    from ml.context import Context

    def decide(wrong):
        store_run(Context(make_settings({"gate": {"min_macro_f1": 0.85}}), store), "run", wrong)
        return load_decision(store, "run")

    return decide


def keep(store, name, **document):
    store.put(f"runs/run/{name}.json", dump_json({"version": 3, "reason": "errors: 0.2", **document}))


def test_a_decided_run_has_no_stages_yet(decided, store):
    decided(5)

    outcome = load_outcome(store, "run")

    assert (outcome.variant, outcome.cleared, outcome.sound) == ("mobilenet", True, True)
    assert (outcome.published, outcome.stages, outcome.waits, outcome.taken_back) == (None, (), False, False)
    assert outcome.held_back == ""


def test_a_run_without_a_decision_has_no_outcome(store):
    with pytest.raises(NotFoundError, match=r"runs/run/decision\.json"):
        load_outcome(store, "run")


def test_what_is_rejected_is_held_back_by_the_gate(decided, store):
    reason = decided(40).document["reason"]

    assert load_outcome(store, "run").held_back == reason


def test_what_waits_or_was_refused_is_held_back_by_a_person(decided, store):
    ask_approval(store, "run", decided(5), NOON)
    waiting = load_outcome(store, "run")
    answer_approval(store, "run", Answer(False, NOON.isoformat(), "ann"))
    refused = load_outcome(store, "run")

    assert (waiting.waits, waiting.held_back) == (True, "Waits for approval since 2026-01-01 at 12:00 UTC.")
    assert (refused.waits, refused.held_back) == (False, "Rejected by ann on 2026-01-01 at 12:00 UTC.")


def test_what_a_person_has_decided_to_promote_is_not_held_back_by_the_gate(decided, store):
    sha256 = decided(40).sha256
    order = Order(
        "run", "mobilenet", sha256, "1", "ann", "needed", NOON.isoformat(), "Airflow", None, None, ("macro F1",)
    )
    store_order(store, order)

    assert load_outcome(store, "run").held_back == ""


def test_stages_are_told_in_sentences(decided, store):
    decided(5)
    keep(store, "publication")
    keep(store, "canary", passed=True, reason="errors: 0")
    keep(store, "watch", kept=False, rolled_back_to=2)

    outcome = load_outcome(store, "run")

    assert (outcome.published, outcome.taken_back) == (3, True)
    assert outcome.stages == (
        "Trial of version 3: errors: 0.",
        "Watch of version 3: failed, errors: 0.2.",
        "Version 2 serves again.",
    )


def test_a_trial_that_was_not_stood_holds_back(decided, store):
    decided(5)
    keep(store, "canary", passed=False)

    assert load_outcome(store, "run").held_back == "Version 3 did not stand its trial: errors: 0.2."


def test_leaderboard_comes_back_as_it_was_kept(decided, store):
    decided(5)
    evaluation = read_json(store, "runs/run/evaluation.json")
    first, second = leaderboard_rows(evaluation)

    assert [(row.variant, row.chosen, row.kind) for row in (first, second)] == [
        ("mobilenet", True, ""),
        ("vgg16", False, ""),
    ]
    kept = row_of(evaluation, "mobilenet")
    assert (first.macro_f1, first.latency_ms, first.weights) == (kept["macro_f1"], (20.0, 25.0), "imagenet")
    assert list(first.macro_f1_interval) == kept["metrics"]["intervals"]["macro_f1"]
    assert champion_row(evaluation) is None


def test_a_candidate_that_the_run_has_not_is_named_beside_those_that_it_has(decided, store):
    decided(5)

    with pytest.raises(DataError, match=r"no candidate 'xception'.*mobilenet, vgg16"):
        row_of(read_json(store, "runs/run/evaluation.json"), "xception")
