"""Secrets among the files that git would take, as detect-secrets finds them; known false alarms are in a baseline."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING, Any

from infra.audit.errors import AuditError
from infra.audit.locked import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["BASELINE", "accept_secrets", "check_secrets"]

BASELINE = ".secrets.baseline"
#: Digests of packages, and measured figures.
LEFT_OUT = re.compile(r"uv\.lock|bench/results/.*|\.secrets\.baseline")
#: Of detect-secrets' plugins: addresses are no secrets.
UNUSED = {"IPPublicDetector"}


def check_secrets(root: Path = ROOT) -> int:
    """Scan all files of a work tree that are not ignored; returns how many.

    Raises:
        AuditError: something looks like a secret and is not in the baseline, or there is no baseline.
    """
    path = root / BASELINE
    if not path.is_file():
        raise AuditError(f"There is no {path}.", "`python -m infra.audit secrets --accept` makes it.")
    names = _files(root)
    found = _scan(root, names, json.loads(path.read_text(encoding="utf-8")))
    if found:
        raise AuditError(
            "\n".join(f"{name}:{line} looks like a secret: {kind}" for name, line, kind in found),
            "Take it out, and change it if it was ever real: git keeps what was committed. Where it is none, "
            "`python -m infra.audit secrets --accept` adds it to the baseline.",
        )
    return len(names)


def accept_secrets(root: Path = ROOT) -> int:
    """Write a baseline of all that looks like a secret now; returns how many that are."""
    from detect_secrets.core import baseline
    from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
    from detect_secrets.core.secrets_collection import SecretsCollection
    from detect_secrets.settings import transient_settings

    kinds: Iterable[type] = get_mapping_from_secret_type_to_class().values()
    plugins = sorted({kind.__name__ for kind in kinds} - UNUSED)
    with transient_settings({"plugins_used": [{"name": name} for name in plugins]}):
        found = SecretsCollection(root=str(root))
        for name in _files(root):
            found.scan_file(name)
        document = baseline.format_for_output(found, is_slim_mode=True)
    (root / BASELINE).write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return sum(len(secrets) for secrets in found.data.values())


def _files(root: Path) -> list[str]:
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    result = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if result.returncode:
        raise AuditError(f"git cannot list the files of {root}: {result.stderr.strip()}", "Run it in a git work tree.")
    names = set(result.stdout.split("\0"))
    return sorted(name for name in names if name and not LEFT_OUT.fullmatch(name) and (root / name).is_file())


def _scan(root: Path, names: list[str], known: dict[str, Any]) -> list[tuple[str, int, str]]:
    from detect_secrets.core.secrets_collection import SecretsCollection
    from detect_secrets.settings import transient_settings

    with transient_settings(known):
        found = SecretsCollection(root=str(root))
        for name in names:
            found.scan_file(name)
    listed = {(name, one["type"], one["hashed_secret"]) for name, all_ in known["results"].items() for one in all_}
    return [(name, one.line_number, one.type) for name, one in found if (name, one.type, one.secret_hash) not in listed]
