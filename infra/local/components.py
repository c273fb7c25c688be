"""The components of the stack, in the order in which they start."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from infra.local.airflow_env import START_DEFAULTS, airflow_environment, base_environment
from infra.local.layout import AIRFLOW_PORT_VARIABLE, GRPC_PORT_VARIABLE, HOST, REST_PORT_VARIABLE
from infra.local.ports import Port
from infra.local.processes import Component

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.local.layout import Layout

__all__ = ["AIRFLOW_HEALTH", "COMPONENT_NAMES", "MODEL_SERVER", "build_components"]

#: Airflow's components, and what its health page calls them.
AIRFLOW_HEALTH = {
    "api-server": "metadatabase",
    "dag-processor": "dag_processor",
    "scheduler": "scheduler",
    "triggerer": "triggerer",
}
MODEL_SERVER = "model-server"
COMPONENT_NAMES = (MODEL_SERVER, *AIRFLOW_HEALTH)


def build_components(layout: Layout, jwt_secret: str, environ: Mapping[str, str]) -> tuple[Component, ...]:
    """What to run, under the names of `COMPONENT_NAMES`."""
    inherited = base_environment(layout, environ)
    airflow = START_DEFAULTS | inherited | airflow_environment(layout, jwt_secret)
    python_airflow = (sys.executable, "-m", "airflow")
    ports = layout.ports
    return (
        Component(
            MODEL_SERVER,
            (sys.executable, "-m", "serving.local"),
            inherited,
            address=f"{layout.rest_url}, gRPC :{ports.grpc}",
            ports=(Port(ports.grpc, GRPC_PORT_VARIABLE), Port(ports.rest, REST_PORT_VARIABLE)),
        ),
        Component(
            "api-server",
            (*python_airflow, "api-server", "--host", HOST, "--port", str(ports.airflow), "--workers", "1"),
            airflow,
            address=layout.airflow_url,
            ports=(Port(ports.airflow, AIRFLOW_PORT_VARIABLE),),
        ),
        Component("dag-processor", (*python_airflow, "dag-processor"), airflow),
        # The API server reads the task logs from disk; log servers of their own would listen on all addresses.
        Component("scheduler", (*python_airflow, "scheduler", "--skip-serve-logs"), airflow),
        Component("triggerer", (*python_airflow, "triggerer", "--skip-serve-logs"), airflow),
    )
