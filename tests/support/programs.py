"""Tests that fork do so in a program of their own, which has no threads yet."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

__all__ = ["run_program"]

ROOT = Path(__file__).resolve().parents[2]


def run_program(path: Path, *arguments: object) -> str:
    """What a Python program of the tests prints; that it fails is an assertion with the end of its errors."""
    process = subprocess.run(
        [sys.executable, path, *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests/support'}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr[-5000:]
    return process.stdout
