from datetime import timedelta

from bench.decided import store_run
from ml.approval import Answer, answer_approval, ask_approval, load_decision
from ml.promoting import change_of
from ml.promotions import Champion, append_change, load_changes
from ml.rollback import Request, roll_back
from ml.run_summaries import write_summary
from ml.storage import dump_json, read_json

from .conftest import NOW


def ask(context, run_id):
    store_run(context, run_id, wrong=6)
    ask_approval(context.store, run_id, load_decision(context.store, run_id), NOW)
    write_summary(context.store, "classifier", run_id)


def test_an_empty_store_offers_nothing(look):
    choices = look().choices

    assert (choices.waiting, choices.promotable, choices.rollbacks, choices.problem) == ((), (), (), "")


def test_winners_that_were_never_promoted_can_be(look, story, context):
    """What was promoted once can be gone back to."""
    store_run(context, "four", wrong=9, champion=Champion(2, "two", "mobilenet"))
    store_run(context, "five", wrong=9, champion=Champion(1, "one", "mobilenet"))

    found = look().choices.promotable

    assert [(one.run_id, one.cleared, one.against_the_gate) for one in found] == [
        ("five", True, True),
        ("four", True, False),
        ("three", False, True),
    ]
    assert found[1].why == "Cleared, but not published."
    assert found[2].why.startswith("Rejected: macro F1")
    assert found[2].macro_f1 == story["three"].macro_f1


def test_winner_that_has_seen_its_test_images_is_not_offered(look, story, store):
    decision = read_json(store, "runs/three/decision.json")
    decision["rules"][-1]["passed"] = False
    store.put("runs/three/decision.json", dump_json(decision))
    write_summary(store, "classifier", "three")

    assert look().choices.promotable == ()


def test_run_that_waits_for_a_person_is_offered_as_such_and_only_as_such(look, story, context):
    ask(context, "four")

    choices = look().choices

    assert [(one.run_id, one.variant, one.asked_at) for one in choices.waiting] == [("four", "mobilenet", NOW)]
    assert "four" not in [one.run_id for one in choices.promotable]


def test_run_that_was_answered_since_waits_no_more(look, story, context):
    """Its summary says that it waits until its page is written again."""
    ask(context, "four")
    answer_approval(context.store, "four", Answer(False, NOW.isoformat(), "ann"))

    choices = look().choices

    assert choices.waiting == ()
    assert choices.promotable[0].run_id == "four"


def test_versions_that_served_can_be_gone_back_to_the_default_first(look, story, context, promote):
    store_run(context, "four", wrong=6)
    promote("four", 4)
    roll_back(context, Request("four was worse", "ann", version=1), NOW)

    found = look().choices.rollbacks

    assert [(one.version, one.run_id, one.default, one.ends_trial) for one in found] == [
        (4, "four", False, False),
        (2, "two", False, False),
    ]
    assert [one.macro_f1 for one in found][1] == story["two"].macro_f1


def test_default_is_where_a_rollback_without_a_version_goes(look, story, context, promote):
    store_run(context, "four", wrong=6)
    promote("four", 4)
    default = next(one.version for one in look().choices.rollbacks if one.default)

    assert roll_back(context, Request("four was worse", "ann"), NOW).serving.stable == default == 2


def test_version_whose_files_are_gone_is_not_offered(look, story, store):
    store.delete("models/classifier/1/SHA256SUMS")

    assert look().choices.rollbacks == ()


def test_trial_can_be_ended_and_what_never_served_is_not_gone_back_to(look, story, context):
    publication = {"version": 3, "run_id": "three", "variant": "mobilenet", "snapshot_id": "000001-0"}
    changes = load_changes(context.store, "classifier")
    append_change(context.store, "classifier", change_of(changes, publication, "canary", "tried", NOW))

    found = look().choices.rollbacks

    assert [(one.version, one.ends_trial) for one in found] == [(1, False), (2, True)]
    roll_back(context, Request("enough", "ann", version=2), NOW + timedelta(hours=1))
    assert [(one.version, one.ends_trial) for one in look().choices.rollbacks] == [(1, False)]


def test_damaged_approval_is_said_and_leaves_the_rest(look, story, context):
    ask(context, "four")
    context.store.put("runs/four/approval.json", b"{}")

    choices = look().choices

    assert "Which runs wait cannot be read" in choices.problem
    assert [one.version for one in choices.rollbacks] == [1]
