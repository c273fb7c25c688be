"""A housekeeping that is killed anywhere and run again leaves what an undisturbed one leaves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kill_points import kill_points
from programs import run_program

PROGRAM = Path(__file__).with_name("killed_housekeeping.py")
POINTS = kill_points(40)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("killed")
    return json.loads(run_program(PROGRAM, folder, POINTS).splitlines()[-1])


def test_killed_anywhere_nothing_is_half_visible_and_repeated_it_ends_as_if_undisturbed(report):
    assert report["different"] == {}
    assert report["calls"] > 40


def test_undisturbed_it_removes_what_is_old_and_keeps_what_serves(report):
    left = {"/".join(key.split("/")[:2]) for key in report["left"]}

    assert {"runs/serves", "runs/newest", "quarantine/empty"} <= left
    assert left.isdisjoint({"runs/goes", "features/old", "arrivals/plans", "arrivals/c", "predictions/b"})
    assert not [key for key in report["left"] if key.startswith("models/m/2/")]
    assert report["seen"] == ["newest", "serves"]
