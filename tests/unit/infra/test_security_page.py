"""docs/security.md names the tests behind its claims: they are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
NAMED = re.findall(r"`(tests/[\w/]+\.py|test_\w+)`", (ROOT / "docs/security.md").read_text())


@pytest.fixture(scope="module")
def known():
    """Names of all tests and modules of tests, and paths of the latter."""
    paths = list((ROOT / "tests").rglob("test_*.py"))
    names = {name for path in paths for name in re.findall(r"^def (test_\w+)\(", path.read_text(), re.MULTILINE)}
    return names | {path.stem for path in paths} | {path.relative_to(ROOT).as_posix() for path in paths}


def test_the_page_names_tests():
    assert len(NAMED) > 20


@pytest.mark.parametrize("name", sorted(set(NAMED)))
def test_what_it_names_is_there(known, name):
    assert name in known
