"""A sync that is killed anywhere leaves no half version under a number, and goes on where it was."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kill_points import kill_points
from programs import run_program

PROGRAM = Path(__file__).with_name("killed_sync.py")
POINTS = kill_points(40)

pytestmark = pytest.mark.slow


def test_killed_at_many_points_and_repeated_it_ends_as_if_undisturbed(tmp_path):
    outcome = json.loads(run_program(PROGRAM, tmp_path, POINTS).splitlines()[-1])

    assert outcome["different"] == {}
    assert outcome["killed"] == POINTS < outcome["calls"]
    assert outcome["final"]["names"] == ["1", "2"]
    assert 'key: "stable" value: 2' in outcome["final"]["config"]
