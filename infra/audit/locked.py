"""What ``uv.lock`` holds, as other tools read it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from infra.audit.errors import AuditError

__all__ = ["ROOT", "requirements", "write_sbom"]

ROOT = Path(__file__).resolve().parents[2]
UV = str(Path(sys.executable).with_name("uv"))


def requirements() -> str:
    """All that is locked, tools included, as pip's requirements with digests.

    Raises:
        AuditError: ``uv.lock`` does not go with ``pyproject.toml``, or uv cannot read it.
    """
    return _export("--all-groups", "--format", "requirements.txt")


def write_sbom(path: Path) -> int:
    """Write what an installation may hold, extras and no tools, as CycloneDX 1.5 in JSON; returns how many that are.

    Raises:
        AuditError: as `requirements`.
    """
    text = _export("--no-dev", "--format", "cyclonedx1.5", "--preview-features", "sbom-export")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return len(json.loads(text)["components"])


def _export(*arguments: str) -> str:
    command = [UV, "export", "--quiet", "--locked", "--offline", "--all-extras", "--no-emit-project", *arguments]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if result.returncode:
        raise AuditError(f"uv cannot export uv.lock: {result.stderr.strip()}", "Run `uv lock`, then try again.")
    return result.stdout
