"""Where the local stack keeps its files, and the ports it listens on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ml.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = [
    "AIRFLOW_PORT_VARIABLE",
    "GRPC_PORT_VARIABLE",
    "HOST",
    "REST_PORT_VARIABLE",
    "Layout",
    "Ports",
    "read_airflow_port",
]

#: The stack is for one person on one machine: nothing listens on any other address.
HOST = "127.0.0.1"

AIRFLOW_PORT_VARIABLE = "QUARTET_AIRFLOW_PORT"
GRPC_PORT_VARIABLE = "QUARTET__SERVING__GRPC_PORT"
REST_PORT_VARIABLE = "QUARTET__SERVING__REST_PORT"


@dataclass(frozen=True)
class Ports:
    """Ports on the loopback address."""

    airflow: int = 8080
    grpc: int = 8500
    rest: int = 8501

    def __post_init__(self) -> None:
        numbers = (self.airflow, self.grpc, self.rest)
        if len(set(numbers)) != len(numbers):
            raise ConfigError(
                f"Airflow, gRPC and REST need three different ports, not {numbers}.",
                f"Set {AIRFLOW_PORT_VARIABLE}, {GRPC_PORT_VARIABLE} or {REST_PORT_VARIABLE}.",
            )


def read_airflow_port(environ: Mapping[str, str]) -> int:
    """Airflow's port: ``QUARTET_AIRFLOW_PORT``, else the default.

    Raises:
        ConfigError: the variable is not a port number.
    """
    text = environ.get(AIRFLOW_PORT_VARIABLE) or str(Ports.airflow)
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 65535):
        raise ConfigError(f"{AIRFLOW_PORT_VARIABLE} = {text!r} is not a port.", "Use a number from 1 to 65535.")
    return int(text)


@dataclass(frozen=True)
class Layout:
    """Paths below a root, which is absolute and holds ``dags/``, ``plugins/`` and ``quartet.yaml``."""

    root: Path
    ports: Ports = field(default_factory=Ports)

    @property
    def dags(self) -> Path:
        """Where Airflow looks for DAGs."""
        return self.root / "dags"

    @property
    def plugins(self) -> Path:
        """Where Airflow looks for plugins."""
        return self.root / "plugins"

    @property
    def var(self) -> Path:
        """Holds everything below: removing it makes the checkout as good as new."""
        return self.root / "var"

    @property
    def airflow_home(self) -> Path:
        """Airflow's database, task logs and secrets."""
        return self.var / "airflow"

    @property
    def task_logs(self) -> Path:
        """What Airflow's tasks say."""
        return self.airflow_home / "logs"

    @property
    def database(self) -> Path:
        """Airflow's SQLite file."""
        return self.airflow_home / "airflow.db"

    @property
    def passwords_file(self) -> Path:
        """JSON, user to password."""
        return self.airflow_home / "passwords.json"

    @property
    def jwt_secret_file(self) -> Path:
        """What Airflow's components sign their tokens with."""
        return self.airflow_home / "jwt_secret"

    @property
    def run(self) -> Path:
        """Pid files."""
        return self.var / "run"

    @property
    def log(self) -> Path:
        """What the components print."""
        return self.var / "log"

    @property
    def store(self) -> Path:
        """The object store's folder, unless the settings name another."""
        return self.var / "store"

    @property
    def models(self) -> Path:
        """What the model server serves, unless the settings name another folder."""
        return self.var / "models"

    @property
    def mlflow(self) -> Path:
        """Tracking and registry, unless the settings name another place."""
        return self.var / "mlflow"

    @property
    def settings_file(self) -> Path:
        """The settings in force, with absolute paths, for every component."""
        return self.var / "quartet.yaml"

    @property
    def airflow_url(self) -> str:
        """Of the UI and the API."""
        return f"http://{HOST}:{self.ports.airflow}"

    @property
    def rest_url(self) -> str:
        """Of the model server's REST side."""
        return f"http://{HOST}:{self.ports.rest}"

    @property
    def grpc_address(self) -> str:
        """Of the model server's gRPC side."""
        return f"{HOST}:{self.ports.grpc}"

    def pid_file(self, name: str) -> Path:
        """Of a component."""
        return self.run / f"{name}.json"

    def log_file(self, name: str) -> Path:
        """Of a component; what it printed before its last start has ``.1`` at the end."""
        return self.log / f"{name}.log"

    def make_folders(self) -> None:
        """Make what components expect to be there. Only the owner can read Airflow's home: it holds secrets."""
        for folder in (self.run, self.log, self.store, self.models, self.mlflow):
            folder.mkdir(parents=True, exist_ok=True)
        self.airflow_home.mkdir(mode=0o700, parents=True, exist_ok=True)
