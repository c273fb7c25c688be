"""What pip-audit reports, held against what people have accepted."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from infra.audit.advisories import Accepted, judge, read_accepted, refuse_unknown
from infra.audit.errors import AuditError

TODAY = date(2026, 12, 1)
CLEAN = {"name": "numpy", "version": "2.4.0", "vulns": []}
FAULTY = {
    "name": "pillow",
    "version": "12.0.0",
    "vulns": [{"id": "PYSEC-2026-7", "aliases": ["CVE-2026-1"], "fix_versions": ["12.0.1"], "description": "reads on"}],
}


def accepted(until=TODAY, name="PYSEC-2026-7", package="pillow"):
    return Accepted(id=name, package=package, reason="the format is not among those that are read", until=until)


def test_packages_without_faults_are_fine():
    assert judge([CLEAN], [], TODAY) == []


def test_a_fault_is_told_with_all_its_names_and_the_release_that_mends_it():
    assert judge([CLEAN, FAULTY], [], TODAY) == ["pillow 12.0.0: PYSEC-2026-7 CVE-2026-1, mended in 12.0.1"]


@pytest.mark.parametrize("name", ["PYSEC-2026-7", "CVE-2026-1"])
def test_an_accepted_fault_is_none_to_the_end_of_its_day(name):
    assert judge([FAULTY], [accepted(name=name)], TODAY) == []


def test_after_its_day_it_is_one_again():
    (problem,) = judge([FAULTY], [accepted(TODAY - timedelta(days=1))], TODAY)

    assert "accepted until 2026-11-30 only" in problem


def test_another_packages_fault_of_that_name_is_not_accepted():
    found = judge([FAULTY], [accepted(package="numpy")], TODAY)

    assert any(line.startswith("pillow 12.0.0") for line in found)


def test_what_is_accepted_and_not_there_any_more_is_told():
    assert judge([CLEAN], [accepted()], TODAY) == [
        "accepted.yaml accepts PYSEC-2026-7 of pillow, which is not there any more"
    ]


def test_packages_that_were_not_looked_up_are_no_pass():
    with pytest.raises(AuditError, match=r"^1 of 2 packages could not be looked up.*: torch"):
        refuse_unknown([CLEAN, {"name": "torch", "skip_reason": "Dependency not found on PyPI"}])


def test_the_accepted_ones_of_this_repository_can_be_read():
    assert all(isinstance(one, Accepted) for one in read_accepted())


@pytest.mark.parametrize(
    "text",
    ["- {id: CVE-1, package: x, until: 2026-01-01}", "- {id: CVE-1, package: x, reason: so, until: 2026-01-01}", "{"],
    ids=["no reason", "hardly a reason", "no YAML"],
)
def test_an_entry_that_says_too_little_is_refused(tmp_path, text):
    path = tmp_path / "accepted.yaml"
    path.write_text(text)

    with pytest.raises(AuditError, match="is not as it should be"):
        read_accepted(path)
