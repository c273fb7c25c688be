from __future__ import annotations

import os
import socket

import pytest


@pytest.fixture(scope="module")
def environ():
    """An environment with free ports for a stack, and none of the settings of whoever runs the tests."""
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    names = ("QUARTET_AIRFLOW_PORT", "QUARTET__SERVING__GRPC_PORT", "QUARTET__SERVING__REST_PORT")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("QUARTET")}
    return inherited | {name: str(port) for name, port in zip(names, ports, strict=True)}
