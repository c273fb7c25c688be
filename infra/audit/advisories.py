"""Known vulnerabilities of locked packages, as pip-audit finds them; what people have accepted is in a file."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from infra.audit.errors import AuditError
from infra.audit.locked import ROOT, requirements

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["ACCEPTED", "Accepted", "check_advisories", "judge", "read_accepted", "refuse_unknown"]

ACCEPTED = ROOT / "infra/audit/accepted.yaml"
NAMED = 5


class Accepted(BaseModel):
    """A vulnerability that was looked at and does no harm here, until a day."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    package: str
    reason: str = Field(min_length=20)
    until: date


def read_accepted(path: Path = ACCEPTED) -> list[Accepted]:
    """Read the file of accepted vulnerabilities.

    Raises:
        AuditError: it is not a list of such entries.
    """
    try:
        return TypeAdapter(list[Accepted]).validate_python(yaml.safe_load(path.read_text(encoding="utf-8")) or [])
    except (ValidationError, yaml.YAMLError) as error:
        raise AuditError(
            f"{path} is not as it should be: {error}", "Each entry has id, package, reason, until."
        ) from error


def check_advisories() -> int:
    """Ask PyPI about every locked package; returns how many were asked about.

    Raises:
        AuditError: vulnerabilities that nobody has accepted, or no answer: a package that was not looked up is no
            package without faults.
    """
    report = _ask(requirements())
    refuse_unknown(report)
    problems = judge(report, read_accepted(), date.today())  # noqa: DTZ011 - a day, as people write it
    if problems:
        raise AuditError(
            "\n".join(problems), "Take a mended release: `uv lock --upgrade-package NAME`. Or accept with a reason."
        )
    return len(report)


def refuse_unknown(report: Sequence[Mapping[str, Any]]) -> None:
    """Refuse pip-audit's ``dependencies`` where it looked something up in vain, which it calls no fault.

    Raises:
        AuditError: it did.
    """
    skipped = [one for one in report if "skip_reason" in one]
    if skipped:
        names = ", ".join(str(one["name"]) for one in skipped[:NAMED]) + (", ..." if len(skipped) > NAMED else "")
        raise AuditError(
            f"{len(skipped)} of {len(report)} packages could not be looked up, so nothing is known of them: {names}",
            "Run it where https://pypi.org answers: mirrors of packages know nothing of vulnerabilities.",
        )


def judge(report: Sequence[Mapping[str, Any]], accepted: Sequence[Accepted], today: date) -> list[str]:
    """What is wrong, a line each.

    Args:
        report: pip-audit's ``dependencies``, all looked up.
        accepted: what is no fault until its day, that day included.
        today: the day of the audit.
    """
    known = {(one.package, one.id): one for one in accepted}
    problems, met = [], set()
    for package in report:
        for fault in package["vulns"]:
            ids = [fault["id"], *fault.get("aliases", ())]
            entry = next((known[package["name"], one] for one in ids if (package["name"], one) in known), None)
            if entry:
                met.add((entry.package, entry.id))
            if entry is None or entry.until < today:
                mended = ", ".join(fault["fix_versions"]) or "no release yet"
                late = f"; accepted until {entry.until} only" if entry else ""
                problems.append(f"{package['name']} {package['version']}: {' '.join(ids)}, mended in {mended}{late}")
    stale = sorted(set(known) - met)
    problems += [f"{ACCEPTED.name} accepts {one} of {package}, which is not there any more" for package, one in stale]
    return problems


def _ask(text: str) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "requirements.txt"
        path.write_text(text, encoding="utf-8")
        command = [sys.executable, "-m", "pip_audit", "--requirement", str(path), "--disable-pip", "--require-hashes"]
        command += ["--format", "json", "--progress-spinner", "off"]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        found: list[dict[str, Any]] = json.loads(result.stdout)["dependencies"]
    except ValueError as error:
        last = (result.stderr.strip().splitlines() or ["no word of why"])[-1]
        raise AuditError(
            f"pip-audit gave no answer: {last}", "It asks https://pypi.org; run it where that can be reached."
        ) from error
    return found
