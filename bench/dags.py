"""How long Airflow's DAG processor takes to read `dags/`, which it does again and again."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.record import ROOT

if TYPE_CHECKING:
    from bench.record import Measured

__all__ = ["measure"]

REPEATS = 5
#: As the DAG processor reads a file: in a process forked from one that has imported Airflow, and nothing of ours.
READ = """
import json, sys, time
import airflow.sdk
from airflow.dag_processing.dagbag import DagBag
files = sys.argv[1:]
seconds = {}
for file in files:
    begun = time.perf_counter()
    bag = DagBag(file)
    assert not bag.import_errors and len(bag.dags) == 1, (file, bag.import_errors)
    seconds[file] = time.perf_counter() - begun
print(json.dumps(seconds))
"""
#: What no DAG file can do without.
PLAIN = """
from airflow.sdk import dag, task

@dag(schedule=None)
def plain_{number}():
    @task
    def nothing():
        pass

    nothing()

plain_{number}()
"""


@dataclass(frozen=True)
class _Round:
    """Seconds of one turn: the folder, as many plain files, and each of ours in a process of its own, by name."""

    folder: float
    plain: float
    alone: dict[str, float]


def measure() -> Measured:
    """Read the folder and, for comparison, as many DAGs of one task, each in processes of their own, in turns."""
    files = sorted((ROOT / "dags").glob("*.py"))
    with tempfile.TemporaryDirectory() as home:
        plain = [Path(home) / f"plain_{number}.py" for number in range(len(files))]
        for number, file in enumerate(plain):
            file.write_text(PLAIN.format(number=number), encoding="utf-8")
        environ = _environ(Path(home))
        rounds = [
            _Round(_whole(files, environ), _whole(plain, environ), _alone(files, environ)) for _ in range(REPEATS)
        ]
    folder = statistics.median(one.folder for one in rounds)
    nothing = statistics.median(one.plain for one in rounds)
    alone = {file.stem: statistics.median(one.alone[file.stem] for one in rounds) for file in files}
    return {
        "question": f"How long does it take to read the {len(files)} files of dags/, and each in a process of its own?",
        "baseline": "as many files, each with a DAG of one task that does nothing, in the same run",
        "figures": {
            "folder_seconds": folder,
            "plain_folder_seconds": nothing,
            **{f"{name}_alone_seconds": seconds for name, seconds in alone.items()},
        },
        "ratios": {"plain_folder_share_of_folder": nothing / folder},
    }


def _whole(files: list[Path], environ: dict[str, str]) -> float:
    """All files one after the other in one fresh process; what they import counts once."""
    return sum(_read(files, environ).values())


def _alone(files: list[Path], environ: dict[str, str]) -> dict[str, float]:
    return {file.stem: _read([file], environ)[str(file)] for file in files}


def _read(files: list[Path], environ: dict[str, str]) -> dict[str, float]:
    """Seconds by file, without those that Airflow itself takes to be imported."""
    command = [sys.executable, "-W", "ignore", "-c", READ, *map(str, files)]
    result = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=True)
    return dict(json.loads(result.stdout.splitlines()[-1]))


def _environ(home: Path) -> dict[str, str]:
    return os.environ | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "PYTHONPATH": str(ROOT),
    }
