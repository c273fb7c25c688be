"""A result as JSON: what was measured, against what, on which machine, at which commit."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypedDict

__all__ = ["Measured", "write_result"]

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).resolve().parent / "results"
LIBRARIES = ("tensorflow", "jax", "torch", "keras", "numpy", "pandas")
#: Instruction sets that decide how fast a processor multiplies matrices.
NOTABLE_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")


class Measured(TypedDict):
    """What a bench returns.

    Attributes:
        question: what it answers, in a sentence.
        baseline: what the ratios compare with, measured in the same run.
        figures: by name with the unit at its end, e.g. ``cold_seconds``.
        ratios: by name; above 1 is better than the baseline, unless the name says of what it is a share.
    """

    question: str
    baseline: str
    figures: dict[str, float]
    ratios: dict[str, float]


def write_result(name: str, measured: Measured, device: dict[str, str] | None = None) -> Path:
    """Write ``bench/results/<name>.json`` and return its path.

    Args:
        name: of the bench.
        measured: what it returned.
        device: what it computed on besides the processor, and through what.
    """
    document = {
        "bench": name,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "machine": {**_machine(), **(device or {})},
        **measured,
    }
    path = RESULTS / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return path


def _commit() -> str:
    """The commit, with ``-dirty`` when files differ from it."""
    result = subprocess.run(
        ["git", "describe", "--always", "--abbrev=12", "--dirty", "--exclude=*"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return result.stdout.strip() or "not a git checkout"


def _machine() -> dict[str, Any]:
    fields = {}
    description = Path("/proc/cpuinfo")
    if description.is_file():
        lines = description.read_text(encoding="utf-8", errors="replace").split("\n\n")[0].splitlines()
        fields = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    flags = set(fields.get("flags", "").split())
    return {
        "processor": fields.get("model name", platform.processor() or "unknown"),
        "cores": os.cpu_count(),
        "notable_instructions": [flag for flag in NOTABLE_FLAGS if flag in flags],
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "libraries": _libraries(),
    }


def _libraries() -> dict[str, str]:
    """Those that are installed, with their versions."""
    found = {}
    for name in LIBRARIES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
