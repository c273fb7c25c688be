"""``make audit`` and ``make sbom``: vulnerabilities of locked packages, secrets in files, a bill of materials.

::

    python -m infra.audit            # both checks; 1 when one finds something or cannot be made
    python -m infra.audit sbom FILE  # CycloneDX 1.5
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

__all__ = ["find_secrets", "find_vulnerabilities", "main", "write_sbom"]

ROOT = Path(__file__).resolve().parents[1]
BASELINE = ".secrets.baseline"
PROGRAMS = Path(sys.executable).parent
#: Digests and figures, of which each looks like a secret.
LEFT_OUT = ("uv.lock", "bench/results/", BASELINE)
#: Status of detect-secrets when it found nothing new, and has put new line numbers into the baseline.
MOVED = 3


def find_vulnerabilities() -> int:
    """Ask PyPI about every locked package.

    Returns:
        pip-audit's status: 0 only when PyPI knew every package and no vulnerability of any. An index that mirrors
        files without PyPI's own answers knows none of them.
    """
    with tempfile.TemporaryDirectory() as folder:
        locked = str(Path(folder) / "requirements.txt")
        _run("uv", "export", "--quiet", "--frozen", "--all-extras", "--no-emit-project", "--output-file", locked)
        # Without --strict what PyPI does not know would count as harmless.
        options = ("--strict", "--disable-pip", "--progress-spinner", "off")
        return _run("pip-audit", "--requirement", locked, *options, check=False).returncode


def find_secrets(root: Path = ROOT) -> int:
    """Look for secrets in what git tracks; 1 when there are some that the baseline does not know.

    Args:
        root: of a git repository.
    """
    tracked = subprocess.run(["git", "ls-files"], cwd=root, check=True, capture_output=True, text=True).stdout
    names = [name for name in tracked.splitlines() if not name.startswith(LEFT_OUT)]
    baseline = ("--baseline", BASELINE) if (root / BASELINE).exists() else ()
    status = _run("detect-secrets-hook", *baseline, *names, check=False, root=root).returncode
    return 0 if status == MOVED else status


def write_sbom(path: Path) -> None:
    """Write a bill of materials of the lock file, extras included, as CycloneDX 1.5 JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    arguments = ("--frozen", "--all-extras", "--format", "cyclonedx1.5", "--output-file", str(path))
    _run("uv", "export", "--quiet", "--preview-features", "sbom-export", *arguments)


def _run(name: str, *arguments: str, check: bool = True, root: Path = ROOT) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([str(PROGRAMS / name), *arguments], cwd=root, check=check)


def main(arguments: list[str]) -> int:
    """Status 0 when nothing was found."""
    if arguments[:1] == ["sbom"]:
        write_sbom(Path(arguments[1]))
        return 0
    return 1 if [check for check in (find_vulnerabilities, find_secrets) if check()] else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
