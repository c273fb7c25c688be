"""A training that is killed again and again and goes on each time ends as an undisturbed one, bit for bit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from programs import run_program

PROGRAM = Path(__file__).with_name("killed_training.py")
KILLS = 5
PRECISIONS = ("float32", "bfloat16")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    printed = run_program(PROGRAM, tmp_path_factory.mktemp("killed"), KILLS, *PRECISIONS)
    return json.loads(printed.splitlines()[-1])


@pytest.mark.parametrize("precision", PRECISIONS)
def test_killed_five_times_it_leaves_the_weights_history_and_figures_of_an_undisturbed_one(report, precision):
    outcome = report[precision]

    assert outcome["said"] == []
    assert outcome["killed"] == KILLS
    assert outcome["different"] == []
    assert outcome["epochs"] == 30


@pytest.mark.parametrize("precision", PRECISIONS)
def test_nothing_is_left_of_its_checkpoints(report, precision):
    names = {key.rsplit("/", 1)[-1] for key in report[precision]["keys"]}

    trained = {"candidate.json", "head.weights.h5", "history.parquet"}
    assert names == {"plan.json", "samples.parquet", "features.json"} | trained
