"""docs/security.md names tests for what it claims: they are there."""

from __future__ import annotations

import re

import pytest

from infra.audit.locked import ROOT

NAMED = re.findall(r"`(tests/[\w/.]+\.py)::(\w+)`", (ROOT / "docs/security.md").read_text())


def test_the_page_names_tests():
    assert len(NAMED) > 20


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_it_is_there(path, name):
    assert re.search(rf"^def {name}\(", (ROOT / path).read_text(), re.MULTILINE)
