from __future__ import annotations

from datetime import timedelta

import pytest

from ml import layout
from ml.promoted import UNKNOWN, describe_promotion
from ml.promotions import Change, append_change, newest_change
from ml.storage import dump_json
from promoted import NOON, record_promotion

ANSWER = {
    "approved": True,
    "at": "2026-01-01T12:00:00+00:00",
    "by": "Alice",
    "by_id": "3",
    "through": "Airflow",
    "timed_out": False,
}


def row(variant, score, interval, **more):
    return {"variant": variant, "macro_f1": score, "metrics": {"intervals": {"macro_f1": interval}}} | more


@pytest.fixture
def evaluated(store):
    """Two promotions; what the second run has left: how its winner and the champion did."""

    def write(**decision):
        record_promotion(store, "m", "run-1", "mobilenet", version=3)
        record_promotion(store, "m", "run-2", "vgg16", version=4)
        evaluation = {
            "leaderboard": [row("vgg16", 0.93121, [0.91, 0.95]), row("mobilenet", 0.9, None)],
            "champion": row("mobilenet", 0.91, [0.88, 0.93], version=3),
        }
        store.put(layout.run_key("run-2", "evaluation.json"), dump_json(evaluation))
        if decision:
            store.put(layout.run_key("run-2", layout.DECISION), dump_json(decision))

    return write


COMPARED = {
    "champion": 3,
    "comparison": {"images": 1143, "challenger": 0.93, "champion": 0.9, "difference_interval": [0.004, 0.0385]},
}


def test_a_promotion_is_told_with_its_score_and_the_champion_before_on_the_same_images(store, evaluated):
    evaluated(**COMPARED)
    told = describe_promotion(store, "m", 2)

    assert told.change == newest_change(store, "m")
    assert told.macro_f1 == "0.9312 (95 % interval 0.9100 to 0.9500)"
    assert told.before == (
        "version 3, mobilenet: macro F1 0.9100 (95 % interval 0.8800 to 0.9300); difference +0.0300 (95 % interval "
        "+0.0040 to +0.0385), on 1,143 test images that version 3 was not trained on"
    )
    assert (told.has_before, told.decided_by) == (True, "gate")


@pytest.mark.parametrize(
    "decision",
    [{}, COMPARED | {"champion": 2}, COMPARED | {"comparison": COMPARED["comparison"] | {"difference_interval": None}}],
    ids=["no decision", "compared with another", "nothing to compare on"],
)
def test_without_a_comparison_with_the_champion_before_no_difference_is_told(store, evaluated, decision):
    evaluated(**decision)

    assert describe_promotion(store, "m", 2).before == (
        "version 3, mobilenet: macro F1 0.9100 (95 % interval 0.8800 to 0.9300)"
    )


def test_the_first_promotion_has_none_before(store):
    record_promotion(store, "m", "run-1", "mobilenet")
    told = describe_promotion(store, "m", 1)

    assert (told.before, told.has_before, told.macro_f1) == ("none: it is the first", False, UNKNOWN)


AGAINST = "Against the gate: site B counts most. Rules missed: macro F1: 0.87, required at least 0.9."
ORDER = {
    "run_id": "run-2",
    "variant": "vgg16",
    "decision_sha256": "0",
    "id": "manual__1",
    "by": "Bob",
    "reason": "site B counts most",
    "at": "2026-01-01T12:30:00+00:00",
    "through": "Airflow",
    "compared": 1,
    "champion": 1,
    "missed": ["macro F1: 0.87, required at least 0.9"],
    "overruled": "",
    "against_the_gate": True,
}


@pytest.mark.parametrize(
    ("evidence", "said"),
    [
        ({"approval": ANSWER}, "Approved by Alice (id 3) on 2026-01-01 at 12:00 UTC."),
        (
            {"approval": ANSWER, "order": ORDER},
            f"Bob decided on 2026-01-01 at 12:30 UTC to promote it. {AGAINST}",
        ),
    ],
    ids=["approved", "against the gate"],
)
def test_the_person_who_decided_is_named(store, evidence, said):
    record_promotion(store, "m", "run-1", "mobilenet")
    before = newest_change(store, "m")
    document = before.to_dict() | {
        "number": 2,
        "version": 2,
        "run_id": "run-2",
        "serving": {**before.to_dict()["serving"], "stable": 2},
        "evidence": evidence,
        "at": (NOON + timedelta(hours=1)).isoformat(),
    }
    append_change(store, "m", Change.from_dict(document))

    assert describe_promotion(store, "m", 2).decided_by == said


def test_a_version_that_does_not_serve_any_more_is_not_told(store, evaluated):
    evaluated()

    assert describe_promotion(store, "m", 1) is None
