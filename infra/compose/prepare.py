"""``python -m infra.compose.prepare``: Airflow's database, its first user and the pool; again after each upgrade."""

from __future__ import annotations

import os
import subprocess
import sys

from infra.local.credentials import ADMIN
from infra.local.database import GPU_POOL

__all__ = ["main"]


def main() -> int:
    """Run Airflow's own commands one after the other; the first that fails ends it with its status."""
    try:
        _airflow("db", "migrate")
        # Leaves a user that is there as it is, password and all.
        _airflow("users", "create", "--username", ADMIN, "--role", "Admin", "--firstname", "Quartet",
                 "--lastname", "Administrator", "--email", "admin@localhost",
                 "--password", os.environ["AIRFLOW_ADMIN_PASSWORD"])  # fmt: skip
        if not _known_pool():
            # Once: people may have given it other slots since.
            _airflow("pools", "set", GPU_POOL, os.environ["QUARTET_GPU_SLOTS"], "Tasks that use the accelerator")
    except subprocess.CalledProcessError as error:
        return int(error.returncode)
    return 0


def _airflow(*arguments: str) -> None:
    subprocess.run(["airflow", *arguments], check=True)


def _known_pool() -> bool:
    return subprocess.run(["airflow", "pools", "get", GPU_POOL], check=False, capture_output=True).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
