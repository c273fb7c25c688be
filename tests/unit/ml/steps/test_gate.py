import json

import pytest

from ml.context import Context
from ml.errors import NotFoundError
from ml.steps import gate
from ml.storage import dump_json


def evaluation(macro_f1, champion_f1=None, latency_ms=None):
    def row(variant, value):
        metrics = {"macro_f1": value, "report": [{"label": "a", "f1": value}]}
        return {"variant": variant, "latency_ms_p95": latency_ms, "metrics": metrics}

    return {
        "chosen": "good",
        "leaderboard": [row("other", 0.1), row("good", macro_f1)],
        "champion": None if champion_f1 is None else row("old", champion_f1),
    }


@pytest.mark.parametrize(
    ("measured", "promoted"),
    [(evaluation(0.8), True), (evaluation(0.6), False), (evaluation(0.8, 0.7), True), (evaluation(0.8, 0.8), False)],
    ids=["above-the-bar", "below-the-bar", "better-than-the-champion", "tie-with-the-champion"],
)
def test_winner_is_held_against_the_settings(context, make_settings, measured, promoted):
    settings = make_settings({"gate": {"min_macro_f1": 0.7, "champion_margin": 0}})
    context.store.put("runs/run/evaluation.json", dump_json(measured))

    decision = gate.run(Context(settings, context.store), "run")

    assert (decision["variant"], decision["promoted"]) == ("good", promoted)
    assert json.loads(context.store.get("runs/run/decision.json")) == decision


@pytest.mark.parametrize(("latency_ms", "promoted"), [(50.0, True), (50.1, False)], ids=["in-time", "too-slow"])
def test_winner_must_answer_in_time(context, make_settings, latency_ms, promoted):
    settings = make_settings({"gate": {"max_latency_ms": 50}})
    context.store.put("runs/run/evaluation.json", dump_json(evaluation(0.8, latency_ms=latency_ms)))

    assert gate.run(Context(settings, context.store), "run")["promoted"] is promoted


def test_run_that_was_not_evaluated_has_nothing_to_decide(context):
    with pytest.raises(NotFoundError, match=r"runs/run/evaluation\.json"):
        gate.run(context, "run")
