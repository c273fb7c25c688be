import json
from datetime import UTC, datetime

import pytest

from ml.approval import Answer, answer_approval, ask_approval, find_approval, load_decision, require_cleared
from ml.errors import DataError, NotFoundError
from ml.storage import dump_json

ASKED = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
AT = "2026-01-02T05:06:07+00:00"
YES = Answer(True, AT, "Alice", "7")


@pytest.fixture
def decide(store):
    """Writes what the gate decided on `run`."""

    def write(promoted=True, reason="Cleared."):
        store.put("runs/run/decision.json", dump_json({"variant": "a", "promoted": promoted, "reason": reason}))
        return load_decision(store, "run")

    return write


@pytest.fixture
def decided(decide):
    return decide()


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (YES, "Approved by Alice (id 7) on 2026-01-02 at 05:06 UTC."),
        (Answer(False, AT, "bob", "bob"), "Rejected by bob on 2026-01-02 at 05:06 UTC."),
        (
            Answer(True, AT, "bob", through="command line"),
            "Approved by bob on the command line on 2026-01-02 at 05:06 UTC.",
        ),
        (Answer(False, AT), "Rejected on 2026-01-02 at 05:06 UTC: nobody answered in time."),
    ],
    ids=["approved", "rejected", "command-line", "timed-out"],
)
def test_answer_says_who_and_when(answer, text):
    assert str(answer) == text


def test_nothing_is_found_before_somebody_was_asked(store, decided):
    assert find_approval(store, "run", decided) is None


def test_request_waits_until_it_is_answered(store, decided):
    ask_approval(store, "run", decided, ASKED)

    waiting = find_approval(store, "run", decided)
    answer_approval(store, "run", YES)

    assert not waiting.approved
    assert str(waiting) == "Waits for approval since 2026-01-02 at 03:04 UTC."
    assert find_approval(store, "run", decided).answer == YES


def test_record_names_the_decision_by_its_digest_and_says_whether_time_ran_out(store, decided):
    ask_approval(store, "run", decided, ASKED)
    answer_approval(store, "run", Answer(False, AT))

    record = json.loads(store.get("runs/run/approval.json"))
    assert (record["variant"], record["decision_sha256"]) == ("a", decided.sha256)
    assert record["answer"]["timed_out"] is True
    assert find_approval(store, "run", decided).answer == Answer(False, AT)


def test_first_answer_counts(store, decided):
    ask_approval(store, "run", decided, ASKED)
    answer_approval(store, "run", YES)

    assert answer_approval(store, "run", Answer(False, AT)).answer == YES


def test_asking_again_takes_the_place_of_a_rejection(store, decided):
    ask_approval(store, "run", decided, ASKED)
    answer_approval(store, "run", Answer(False, AT, "bob"))

    ask_approval(store, "run", decided, ASKED)

    assert find_approval(store, "run", decided).answer is None


def test_approval_is_of_one_decision_only(store, decide, decided):
    ask_approval(store, "run", decided, ASKED)
    answer_approval(store, "run", YES)

    assert find_approval(store, "run", decide(reason="Cleared with other numbers.")) is None


def test_nobody_answers_what_was_not_asked(store):
    with pytest.raises(NotFoundError, match=r"approval\.json"):
        answer_approval(store, "run", YES)


def test_what_the_gate_rejected_is_refused(decide):
    with pytest.raises(DataError, match=r"Run run was not cleared: Too weak\."):
        require_cleared("run", decide(promoted=False, reason="Too weak."))


def test_asking_again_does_not_take_back_an_approval(store, decided):
    ask_approval(store, "run", decided, ASKED)
    answer_approval(store, "run", YES)

    found = ask_approval(store, "run", decided, ASKED)

    assert found.answer == YES
    assert find_approval(store, "run", decided).approved


@pytest.mark.parametrize("asked", [False, True], ids=["first", "again"])
def test_answer_between_reading_and_writing_of_a_request_is_kept(store, decided, asked):
    """The other side asks and answers at the very moment at which this one has read what there is."""
    if asked:
        ask_approval(store, "run", decided, ASKED)
    read, calls = store.get_with_etag, []

    def get_with_etag(key):
        calls.append(key)
        try:
            return read(key)
        finally:
            if len(calls) == 1:
                ask_approval(store, "run", decided, ASKED)
                answer_approval(store, "run", YES)

    store.get_with_etag = get_with_etag

    assert ask_approval(store, "run", decided, ASKED).answer == YES
