from __future__ import annotations

import os

import pytest

from free_ports import free_ports


@pytest.fixture(scope="module")
def environ():
    """An environment with free ports for a stack, and none of the settings of whoever runs the tests."""
    names = ("QUARTET_AIRFLOW_PORT", "QUARTET__SERVING__GRPC_PORT", "QUARTET__SERVING__REST_PORT")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("QUARTET")}
    return inherited | {name: str(port) for name, port in zip(names, free_ports(3), strict=True)}
