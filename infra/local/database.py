"""Airflow's database: made, or brought up to the installed version, when it is not there yet."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from infra.local.errors import StackError
from infra.local.files import replace_file, tail

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from infra.local.layout import Layout

__all__ = ["GPU_POOL", "prepare_database"]

GPU_POOL = "gpu"
#: Tasks in the pool at once where there is no GPU: the first computes while the second imports TensorFlow and builds
#: its graph. Otherwise there is one for each GPU, of which a task takes one for itself.
SLOTS_WITHOUT_GPU = 2
NVIDIA = Path("/proc/driver/nvidia/gpus")
LOG_NAME = "database"
LAST_LINES = 20


def prepare_database(layout: Layout, environment: Mapping[str, str], progress: Callable[[str], None]) -> bool:
    """Migrate the database and make the pool, if that was not done for the installed Airflow; return whether it was.

    The pool is left alone afterwards: people may have given it other slots.

    Raises:
        StackError: with the last lines that Airflow printed.
    """
    stamp = layout.airflow_home / "prepared"
    wanted = version("apache-airflow-core")
    if layout.database.is_file() and stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        return False
    progress("preparing Airflow's database")
    _airflow(layout, environment, "db", "migrate")
    _airflow(layout, environment, "pools", "set", GPU_POOL, str(_slots()), "Tasks that use the accelerator")
    replace_file(stamp, wanted)
    return True


def _slots() -> int:
    gpus = len(list(NVIDIA.iterdir())) if NVIDIA.is_dir() else 0
    return gpus or SLOTS_WITHOUT_GPU


def _airflow(layout: Layout, environment: Mapping[str, str], *arguments: str) -> None:
    log = layout.log_file(LOG_NAME)
    with log.open("ab") as output:
        result = subprocess.run(
            [sys.executable, "-m", "airflow", *arguments],
            cwd=layout.root,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if result.returncode:
        lines = "\n".join(tail(log, LAST_LINES))
        raise StackError(
            f"`airflow {' '.join(arguments)}` ended with status {result.returncode}:\n{lines}",
            f"All of it is in {log}. `make clean` starts over, without what var holds.",
        )
