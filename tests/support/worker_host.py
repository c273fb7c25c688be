"""The name of the host that a worker of the tests is said to run on: several of them share this machine."""

from __future__ import annotations

import os

__all__ = ["VARIABLE", "host_name"]

VARIABLE = "QUARTETTEST_HOST"


def host_name() -> str:
    """For ``AIRFLOW__CORE__HOSTNAME_CALLABLE``."""
    return os.environ[VARIABLE]
