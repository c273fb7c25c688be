import pytest

from ml.run_identity import Precedent, record_precedent
from ml.run_settings import Asked
from ml.steps import anything_changed, split


@pytest.fixture
def look(published_context):
    """Begin a run and say whether it goes on, after an earlier one that came to something."""

    def run(outcome=None, **asked):
        context = published_context
        plan = split.run(context, "again", asked=Asked(**asked))
        if outcome is not None:
            context.store.put(f"runs/{outcome.run_id}/decision.json", b"{}")
            record_precedent(context.store, plan["identity"], outcome)
        return anything_changed.run(context, "again")

    return run


REJECTED = Precedent("first", "narrow", cleared=False, reason="Rejected: F1.", champion=None, warm=False)


def test_the_first_run_of_its_kind_goes_on(look):
    assert look() == {
        "run_id": "again",
        "changed": True,
        "reason": "Goes on: no earlier run had this snapshot, these settings and this code.",
    }


def test_a_run_that_would_be_rejected_again_ends_and_says_how_to_train_all_the_same(look):
    found = look(REJECTED, by="jane", reason="why not")

    assert not found["changed"]
    assert found["reason"] == (
        "Ends here, asked for by jane (why not): nothing changed since run first, and the gate rejected narrow. The "
        "same snapshot, settings and code train the same heads. To train again, upload images, choose other settings, "
        "or tick Force (on the command line --force)."
    )


def test_force_goes_on_whatever_has_changed(look):
    found = look(REJECTED, force=True)

    assert found["changed"]
    assert "Force" in found["reason"]


def test_a_winner_that_nobody_approved_does_not_hold_back_the_next_run(look):
    cleared = Precedent("first", "narrow", cleared=True, reason="Cleared: F1.", champion=None, warm=False)

    found = look(cleared)

    assert found["changed"]
    assert found["reason"] == (
        "Goes on: nothing changed since run first, but what that one came to is not what serves. Cleared: F1."
    )


def test_a_cleared_task_of_the_same_run_goes_on(look):
    assert look(Precedent("again", "narrow", cleared=False, reason="Rejected.", champion=None, warm=False))["changed"]


@pytest.mark.slow
def test_a_third_run_of_the_same_ends_after_two_real_ones(first_run, second_run):
    """The first one's winner serves, and beside it the gate rejected the second one's, which is the same."""
    split.run(first_run.context, "third")

    found = anything_changed.run(first_run.context, "third")

    assert first_run.plan["identity"] == second_run.plan["identity"]
    assert not found["changed"]
    winner = second_run.decision["variant"]
    assert f"nothing changed since run second, and the gate rejected {winner}." in found["reason"]
