"""Who may promote what of the past, and what stays refused. The runs are documents: nothing is trained here."""

import io
from dataclasses import replace
from datetime import UTC, datetime

import pandas as pd
import pytest

from ml.approval import Answer, answer_approval, ask_approval
from ml.context import Context
from ml.errors import DataError
from ml.orders import PromotionRequest, find_order
from ml.steps import order
from ml.storage import dump_json
from ml.tombstones import write_tombstones
from past_runs import IMAGES, MISSED, decide, write_run
from promoted import record_promotion

NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)
LATER = datetime(2026, 1, 3, tzinfo=UTC)
NOON = "2026-01-02T12:00:00+00:00"


@pytest.fixture
def run_id(store):
    return write_run(store)


@pytest.fixture
def wish(run_id):
    return PromotionRequest(run_id, "quiet site", "Ann", "manual__1")


def against(wish):
    return replace(wish, against_the_gate=True)


def idle(_):
    return False


def promote_it(context, run_id, version, variant="vgg16"):
    return record_promotion(context.store, context.settings.model_name, run_id, variant, version)


def test_what_the_gate_cleared_is_ordered_with_the_reason_and_the_name(context, run_id, wish):
    decided = decide(context.store, run_id)

    ordered = order.run(context, wish, NOW, idle)

    assert ordered == find_order(context.store, run_id, decided)
    assert (ordered.by, ordered.reason, ordered.at, ordered.against_the_gate) == ("Ann", "quiet site", NOON, False)


def test_a_run_is_known_by_the_name_of_its_folder_too(context, run_id, wish):
    decide(context.store, run_id)

    ordered = order.run(context, replace(wish, run_id="scheduled__2026-01-01T00-00-00-00-00"), NOW, idle)

    assert ordered.run_id == run_id


def test_tried_again_it_is_the_same_decision_whatever_has_become_of_it(context, run_id, wish):
    decide(context.store, run_id)
    first = order.run(context, wish, NOW, idle)
    promote_it(context, run_id, 1)

    assert order.run(context, wish, LATER, idle) == first


def test_somebody_else_decides_anew_while_nothing_was_promoted(context, run_id, wish):
    decide(context.store, run_id)
    order.run(context, wish, NOW, idle)

    assert order.run(context, replace(wish, by="Bob", id="manual__2"), LATER, idle).by == "Bob"


def test_what_the_gate_rejected_is_refused_with_the_rules(context, run_id, wish):
    decided = decide(context.store, run_id, MISSED)

    with pytest.raises(DataError, match=r"rejected run .*: macro F1: 0\.7000, required at least 0\.9 \(0\.2000 short"):
        order.run(context, wish, NOW, idle)
    assert find_order(context.store, run_id, decided) is None


def test_against_the_gate_the_missed_rules_are_kept(context, run_id, wish):
    decide(context.store, run_id, MISSED)

    ordered = order.run(context, against(wish), NOW, idle)

    assert ordered.missed == ("macro F1: 0.7000, required at least 0.9 (0.2000 short)",)
    assert ordered.grounds.startswith("Against the gate: quiet site. Rules missed: macro F1: 0.7000")


def test_a_gate_without_rules_is_gone_against_with_its_own_words(context, store, run_id, wish):
    document = decide(store, run_id).document
    said = "No gate rule is configured."
    store.put("runs/scheduled__2026-01-01T00-00-00-00-00/decision.json", _rejected(document, said))

    assert order.run(context, against(wish), NOW, idle).missed == (said,)


def _rejected(document, reason):
    return dump_json(document | {"promoted": False, "rules": [], "reason": reason})


def test_another_champion_than_the_gate_compared_with_is_refused(context, run_id, wish):
    decide(context.store, run_id)
    promote_it(context, "other", 7)

    with pytest.raises(DataError, match=r"another champion \(none\) than today's \(version 7\)"):
        order.run(context, wish, NOW, idle)
    ordered = order.run(context, against(wish), NOW, idle)
    assert (ordered.against_the_gate, ordered.compared, ordered.champion) == (True, None, 7)


def test_what_follows_the_gate_is_not_said_to_go_against_it(context, run_id, wish):
    decide(context.store, run_id)

    assert order.run(context, against(wish), NOW, idle).against_the_gate is False


@pytest.mark.parametrize("ask", [lambda wish: wish, against], ids=["plain", "against-the-gate"])
def test_a_winner_that_has_seen_test_images_is_promoted_by_nobody(context, run_id, wish, ask):
    decide(context.store, run_id, seen=3)

    with pytest.raises(DataError, match=r"vgg16 was trained on 3 of the test images .* Nobody can overrule this"):
        order.run(context, ask(wish), NOW, idle)


def test_leaks_are_looked_for_where_no_rule_did(context, store, run_id, wish):
    """Its test image is of a group that it was trained on."""
    key = "runs/scheduled__2026-01-01T00-00-00-00-00/samples.parquet"
    samples = pd.read_parquet(io.BytesIO(store.get(key)))
    data = io.BytesIO()
    samples.assign(group="one").to_parquet(data)
    store.put(key, data.getvalue())
    document = decide(store, run_id).document
    store.put("runs/scheduled__2026-01-01T00-00-00-00-00/decision.json", _rejected(document, "No rule."))

    with pytest.raises(DataError, match="was trained on 1 of the test images"):
        order.run(context, against(wish), NOW, idle)


@pytest.mark.parametrize(
    ("split", "said"),
    [
        ("train", "learnt from images that were forgotten since"),
        ("validation", "learnt from images that were forgotten since"),
        ("test", "All test images of run .* were forgotten"),
    ],
)
def test_what_was_forgotten_since_is_promoted_by_nobody(context, run_id, wish, split, said):
    decide(context.store, run_id, MISSED)
    write_tombstones(context.store, {"image_ids": IMAGES[split], "pixel_id": None})

    with pytest.raises(DataError, match=said):
        order.run(context, against(wish), NOW, idle)


def test_a_head_that_started_from_one_that_learnt_a_forgotten_image_is_promoted_by_nobody(context, store, wish):
    earlier = write_run(store, "earlier")
    other = ["5" * 64, "6" * 64, "7" * 64]
    samples = pd.DataFrame({"image_id": other, "split": ["train", "validation", "test"], "group": list("abc")})
    late = write_run(store, "late", started_from=f"{earlier}/vgg16")
    data = io.BytesIO()
    samples.to_parquet(data)
    store.put("runs/late/samples.parquet", data.getvalue())
    decide(store, late)
    write_tombstones(store, {"image_ids": IMAGES["train"], "pixel_id": None})

    with pytest.raises(DataError, match="run earlier, in which its weights were fitted, learnt"):
        order.run(context, replace(wish, run_id=late), NOW, idle)


def test_what_is_in_production_is_not_promoted_again(context, run_id, wish):
    decide(context.store, run_id)
    promote_it(context, run_id, 4)

    with pytest.raises(DataError, match="is in production already, as version 4"):
        order.run(context, wish, NOW, idle)


def test_what_was_in_production_is_gone_back_to_by_a_rollback(context, run_id, wish):
    decide(context.store, run_id)
    promote_it(context, run_id, 4)
    promote_it(context, "other", 5)

    with pytest.raises(DataError, match=r"as version 4, which does not serve any more.*`rollback` with version 4"):
        order.run(context, against(wish), NOW, idle)


def test_an_unknown_run_is_named(context, wish):
    with pytest.raises(DataError, match="There is no run 'nightly'"):
        order.run(context, replace(wish, run_id="nightly"), NOW, idle)


def test_a_run_that_ended_before_its_gate_has_no_winner(context, run_id, wish):
    with pytest.raises(DataError, match="ended before its gate has decided"):
        order.run(context, wish, NOW, idle)


@pytest.mark.parametrize("decided", [False, True], ids=["before-its-gate", "after"])
def test_a_run_that_is_at_work_is_waited_for(context, run_id, wish, decided):
    if decided:
        decide(context.store, run_id)

    with pytest.raises(DataError, match=r"is still at work\. Remedy: Wait for its end"):
        order.run(context, wish, NOW, lambda name: name == run_id)


def test_what_waits_for_approval_in_airflow_is_answered_there(context, run_id, wish):
    ask_approval(context.store, run_id, decide(context.store, run_id), NOW)

    with pytest.raises(DataError, match=r"waits for a person's approval right now\. Remedy: Answer it there"):
        order.run(context, wish, NOW, lambda name: True)


def test_where_nobody_knows_whether_airflow_waits_the_question_is_to_be_answered(context, run_id, wish):
    ask_approval(context.store, run_id, decide(context.store, run_id), NOW)

    for at_work in (None, lambda name: None):  # the latter where Airflow has no run of that name
        with pytest.raises(DataError, match="Answer in Airflow, or run `quartet approve"):
            order.run(context, wish, NOW, at_work)


def test_a_question_that_nobody_waits_for_any_more_is_answered_by_it(context, run_id, wish):
    """The run was cancelled while it waited."""
    ask_approval(context.store, run_id, decide(context.store, run_id), NOW)

    assert order.run(context, wish, NOW, idle).grounds == "Quiet site."


def test_a_persons_rejection_is_overruled_by_name(context, run_id, wish):
    ask_approval(context.store, run_id, decide(context.store, run_id), NOW)
    answer_approval(context.store, run_id, Answer(False, NOON, "Bob"))

    ordered = order.run(context, wish, LATER, idle)

    assert ordered.grounds == "Quiet site. Overruled: Rejected by Bob on 2026-01-02 at 12:00 UTC."


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"reason": "  "}, "needs a reason"), ({"by": " "}, "needs a reason"), ({"by": "Eve"}, "Eve is not among those")],
    ids=["no-reason", "nobody", "not-an-approver"],
)
def test_who_may_not_decide_is_told(make_settings, store, run_id, wish, changes, said):
    context = Context(make_settings({"gate": {"approval": {"approvers": ["Ann"]}}}), store)
    decide(store, run_id)

    with pytest.raises(DataError, match=said):
        order.run(context, replace(wish, **changes), NOW, idle)
    assert order.run(context, wish, NOW, idle).by == "Ann"


def test_the_command_line_believes_whom_it_is_told(make_settings, store, run_id, wish):
    context = Context(make_settings({"gate": {"approval": {"approvers": ["Ann"]}}}), store)
    decide(store, run_id)

    assert order.run(context, replace(wish, by="Eve", through="command line"), NOW).by == "Eve"


@pytest.mark.parametrize("name", ["vgg16/head.weights.h5", "vgg16/temperature.json", "vgg16/examination.json"])
def test_a_run_whose_files_are_gone_is_refused_with_their_names(context, run_id, wish, name):
    decide(context.store, run_id)
    context.store.delete(f"runs/scheduled__2026-01-01T00-00-00-00-00/{name}")

    with pytest.raises(DataError, match=rf"cannot be promoted any more: .*{name} is gone"):
        order.run(context, wish, NOW, idle)


def test_a_run_whose_candidate_or_snapshot_is_gone_is_refused(context, run_id, wish):
    decide(context.store, run_id)
    context.store.delete("snapshots/s/manifest.parquet")
    with pytest.raises(DataError, match=r"snapshots/s/manifest\.parquet is gone"):
        order.run(context, wish, NOW, idle)
    context.store.delete("runs/scheduled__2026-01-01T00-00-00-00-00/vgg16/candidate.json")
    with pytest.raises(DataError, match=r"candidate\.json"):
        order.run(context, wish, NOW, idle)


def test_what_was_measured_anew_since_the_gate_has_to_pass_it_again(context, run_id, wish):
    decide(context.store, run_id)
    context.store.put("runs/scheduled__2026-01-01T00-00-00-00-00/evaluation.json", b"{ }")

    with pytest.raises(DataError, match=r"evaluation\.json has changed since the gate decided"):
        order.run(context, wish, NOW, idle)
