from dataclasses import replace
from datetime import UTC, datetime

import pytest

from ml.approval import Answer, answer_approval, ask_approval
from ml.errors import DataError
from ml.grounds import require_grounds, require_same_grounds
from ml.orders import Order, store_order
from past_runs import MISSED, decide, write_run

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
BEFORE, AFTER = "2026-01-02T11:00:00+00:00", "2026-01-02T13:00:00+00:00"


@pytest.fixture
def run_id(store):
    return write_run(store)


def order_it(store, decided, **changes):
    names = decided.document["run_id"], "vgg16", decided.sha256
    order = Order(*names, "a run", "Ann", "quiet site", NOON.isoformat(), "Airflow", None, None)
    store_order(store, replace(order, **changes))


def test_what_the_gate_cleared_rests_on_its_word(context, store, run_id):
    grounds = require_grounds(context, run_id, decide(store, run_id))

    assert (grounds.by, grounds.documents, grounds.evidence, grounds.tags) == ("gate", {}, {}, {})


def test_what_the_gate_rejected_has_no_grounds(context, store, run_id):
    with pytest.raises(DataError, match=r"was not cleared: Rejected\. Remedy: .* promote it against the gate"):
        require_grounds(context, run_id, decide(store, run_id, MISSED))


def test_a_persons_decision_stands_above_the_gates_and_is_told_everywhere(context, store, run_id):
    decided = decide(store, run_id, MISSED)
    order_it(store, decided, missed=("macro F1: 0.7",))

    grounds = require_grounds(context, run_id, decided)

    assert grounds.by == "Ann"
    assert grounds.evidence["order"]["against_the_gate"] is True
    assert list(grounds.documents) == ["order.json"]
    assert grounds.tags == {
        "promoted_by": "Ann",
        "promoted_at": NOON.isoformat(),
        "promotion_reason": "quiet site",
        "against_the_gate": "Against the gate: quiet site. Rules missed: macro F1: 0.7.",
    }


def test_a_decision_that_follows_the_gate_is_not_said_to_go_against_it(context, store, run_id):
    decided = decide(store, run_id)
    order_it(store, decided)

    assert "against_the_gate" not in require_grounds(context, run_id, decided).tags


@pytest.mark.parametrize(("at", "stands"), [(BEFORE, True), (AFTER, False)], ids=["before", "after"])
def test_of_a_rejection_and_a_decision_to_promote_the_newer_one_counts(context, store, run_id, at, stands):
    decided = decide(store, run_id)
    order_it(store, decided)
    ask_approval(store, run_id, decided, NOON)
    answer_approval(store, run_id, Answer(False, at, "Bob"))

    if stands:
        grounds = require_grounds(context, run_id, decided)
        assert set(grounds.documents) == {"approval.json", "order.json"}
        assert "approved_by" not in grounds.tags
    else:
        with pytest.raises(DataError, match="was not approved: Rejected by Bob"):
            require_grounds(context, run_id, decided)


def test_a_decision_holds_for_what_the_gate_said_then(context, store, run_id):
    order_it(store, decide(store, run_id))

    with pytest.raises(DataError, match="was not cleared"):
        require_grounds(context, run_id, decide(store, run_id, MISSED))


def test_a_version_that_was_published_before_the_decision_does_not_carry_it(context, store, run_id):
    decided = decide(store, run_id)
    publication = {"run_id": run_id, "version": 3, "order": None}
    require_same_grounds(publication, require_grounds(context, run_id, decided))
    order_it(store, decided)
    grounds = require_grounds(context, run_id, decided)

    require_same_grounds(publication | {"order": "a run"}, grounds)
    with pytest.raises(DataError, match=r"Version 3 of run .* before somebody decided otherwise: Ann decided"):
        require_same_grounds(publication, grounds)
