"""A promotion that is killed anywhere and run again leaves one champion, whole versions, and no number used twice.

So does a person's decision to promote against the gate, and the rollback by the watch over it.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kill_points import kill_points
from programs import run_program

PROGRAM = Path(__file__).with_name("killed_promotion.py")
POINTS = {"first": 2, "second": kill_points(30)}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    printed = run_program(PROGRAM, tmp_path_factory.mktemp("killed"), *POINTS.values())
    return json.loads(printed.splitlines()[-1])


@pytest.mark.parametrize(("promotion", "promoted", "second"), [("first", ["one"], 0), ("second", ["one", "two"], 1)])
def test_killed_at_many_points_and_repeated_it_ends_as_if_undisturbed(report, promotion, promoted, second):
    """The second version is promoted by a person, and taken back by the watch over it, once."""
    outcome = report[promotion]

    assert outcome["different"] == {}
    assert outcome["killed"] == POINTS[promotion] < outcome["calls"]
    left = {"promoted": promoted, "stable of": "one", "ordered": second, "rollbacks": second, "problems": []}
    assert outcome["left"] == left


def test_of_two_promotions_at_once_both_are_published_and_one_is_champion(report):
    outcome = report["at once"]

    assert outcome["left"]["problems"] == []
    assert len(outcome["left"]["promoted"]) == 1
    assert outcome["left"]["rollbacks"] == 0
    assert outcome["versions"] == [1, 2]
    (error,) = outcome["errors"]
    assert error.startswith(("ConflictError:", "DataError:"))
