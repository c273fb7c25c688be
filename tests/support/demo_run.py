"""The demo on a tiny drawn set: a root of its own, and what it prints."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from free_ports import free_ports
from infra.local import stack

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.local.processes import State

__all__ = ["DemoRun", "make_root", "run_demo", "stack_environment"]

ROOT = Path(__file__).resolve().parents[2]
#: Below the limit of a test.
SECONDS = 540
PORTS = ("QUARTET_AIRFLOW_PORT", "QUARTET__SERVING__GRPC_PORT", "QUARTET__SERVING__REST_PORT")
SETTINGS = {
    "model_name": "tiny",
    "images": {"size": 64},
    "variants": {"narrow": {"backbone": "mobilenet", "alpha": 0.25}, "wide": {"backbone": "mobilenet", "alpha": 0.5}},
    "weights": "random",
    # Every epoch is kept, so that a training that is killed after its first one has something to go on from.
    "train": {
        "epochs": 12,
        "batch_size": 8,
        "learning_rate": 0.003,
        "units": 16,
        "heads": 2,
        "key_dim": 8,
        "checkpoint_seconds": 0,
    },
    "validation": {"min_images_per_class": 3},
    "gate": {"min_macro_f1": 0.0, "champion_margin": 0},
}
#: Airflow's own way for an installation to change the tasks of all DAGs: a retry comes at once instead of after half a
#: minute, and is a retry by Airflow all the same.
POLICY = """
from datetime import timedelta


def task_policy(task):
    task.retry_delay = timedelta(seconds=1)
"""


def stack_environment() -> dict[str, str]:
    """An environment with free ports for a stack, and none of the settings of whoever runs the tests."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("QUARTET")}
    return inherited | {name: str(port) for name, port in zip(PORTS, free_ports(len(PORTS)), strict=True)}


def make_root(root: Path) -> Path:
    """Lay DAGs, plugins and the settings of two narrow variants into a folder."""
    for name in ("dags", "plugins"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    (root / "quartet.yaml").write_text(yaml.safe_dump(SETTINGS))
    policy = root / "var/airflow/config/airflow_local_settings.py"
    policy.parent.mkdir(parents=True)
    policy.write_text(POLICY)
    return root


@dataclass(frozen=True)
class DemoRun:
    """What the demo printed and returned, and the states of the stack's components after it."""

    status: int
    output: str
    errors: str
    states: set[State]


def run_demo(root: Path, data: Path, environ: Mapping[str, str]) -> DemoRun:
    """``make demo`` over a root of `make_root` and a folder of images."""
    layout = stack.load_layout(root, environ)
    try:
        result = subprocess.run(
            [sys.executable, "-m", "infra.local", "demo", "--root", str(root), "--data", str(data)],
            cwd=ROOT,
            env={**environ, "COLUMNS": "200"},
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )
    except subprocess.TimeoutExpired:
        # Killed, it leaves its stack running.
        stack.down(layout)
        raise
    states = {component.state for component in stack.status(layout)}
    return DemoRun(result.returncode, result.stdout, result.stderr, states)
