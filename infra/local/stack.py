"""The local stack as a whole: up, down, status, logs."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import PurePath
from typing import TYPE_CHECKING

from infra.local.airflow_api import AirflowApi
from infra.local.components import AIRFLOW_HEALTH, COMPONENT_NAMES, MODEL_SERVER, build_components
from infra.local.credentials import ADMIN, ensure_credentials, read_password
from infra.local.database import prepare_database
from infra.local.errors import StackError
from infra.local.files import replace_file, tail
from infra.local.layout import Layout, Ports, read_airflow_port
from infra.local.ports import require_free
from infra.local.processes import State, component_status, is_running, start, stop
from infra.local.readiness import ready_components
from infra.local.settings_file import local_settings, write_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from infra.local.processes import Component, ComponentStatus
    from ml.config import Settings

__all__ = ["PIPELINE", "airflow_api", "down", "load_layout", "logs", "status", "up"]

#: The DAGs that a fresh stack unpauses; `monitor`, which runs every hour, is left to whoever wants it.
PIPELINE = ("ingest_images", "retrain", "batch_predict", "promote", "rollback")

HEALTHY_SECONDS = 240.0
POLL_SECONDS = 0.5
LOG_LINES = 30


def load_layout(root: Path, environ: Mapping[str, str] = os.environ) -> Layout:
    """The layout below a root, with the ports that the settings and ``QUARTET_AIRFLOW_PORT`` ask for.

    Raises:
        ConfigError: the settings or the port are refused.
    """
    root = root.resolve()
    serving = local_settings(root, environ).serving
    return Layout(root, Ports(read_airflow_port(environ), serving.grpc_port, serving.rest_port))


def airflow_api(layout: Layout) -> AirflowApi:
    """A client that signs in as the administrator.

    Raises:
        StackError: the stack was never started.
    """
    return AirflowApi(layout.airflow_url, ADMIN, read_password(layout))


def up(
    layout: Layout,
    progress: Callable[[str], None] = lambda _: None,
    *,
    environ: Mapping[str, str] = os.environ,
    dags: Sequence[str] = PIPELINE,
    seconds: float = HEALTHY_SECONDS,
) -> None:
    """Start what is not running, wait until all of it is healthy, and unpause DAGs that are new.

    If that fails, what this call started is stopped again.

    Args:
        layout: with the same ports as ``environ`` asks for, as `load_layout` makes it.
        progress: is told each stage in a few words.
        environ: overrides of the settings, and what the components inherit.
        dags: to unpause, the first time that they are seen.
        seconds: limit for everything to become healthy.

    Raises:
        PortInUseError: before anything is started.
        StackError: with the last log lines of the component that failed.
    """
    layout.make_folders()
    with _lock(layout):
        credentials = ensure_credentials(layout)
        settings = local_settings(layout.root, environ)
        # What the form of `retrain` offers; plugins/forms.py reads it.
        named = {"QUARTET_VARIANTS": ",".join(settings.variants)} | dict(environ)
        components = build_components(layout, credentials.jwt_secret, named)
        _check_ports(layout, components)
        _write_settings(layout, settings, progress)
        airflow = next(component for component in components if component.name in AIRFLOW_HEALTH)
        prepare_database(layout, airflow.environment, progress)
        since = datetime.now(UTC)
        started: list[str] = []
        try:
            for component in components:
                if start(layout, component):
                    started.append(component.name)
                    progress(f"started {component.name}")
            deadline = time.monotonic() + seconds
            ready = partial(ready_components, layout, settings.model_name, dict.fromkeys(started, since))
            _wait_ready(layout, ready, progress, deadline)
            _unpause(layout, dags, progress, deadline)
        except BaseException:
            _stop_all(layout, started, progress)
            raise


def down(layout: Layout, progress: Callable[[str], None] = lambda _: None) -> None:
    """Stop everything.

    Raises:
        StackError: processes are left over.
    """
    if not layout.run.is_dir():
        return
    with _lock(layout):
        _stop_all(layout, COMPONENT_NAMES, progress)


def status(layout: Layout) -> list[ComponentStatus]:
    """Each component as it is now."""
    return [component_status(layout, name) for name in COMPONENT_NAMES]


def logs(layout: Layout, names: Sequence[str] = COMPONENT_NAMES, lines: int = LOG_LINES) -> dict[str, tuple[str, ...]]:
    """The last lines of each log.

    Raises:
        StackError: there is no component of that name.
    """
    unknown = [name for name in names if name not in COMPONENT_NAMES]
    if unknown:
        raise StackError(f"There is no component {unknown[0]!r}.", f"Known: {', '.join(COMPONENT_NAMES)}.")
    return {name: tail(layout.log_file(name), lines) for name in names}


@contextmanager
def _lock(layout: Layout) -> Iterator[None]:
    with (layout.run / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StackError(
                "The stack is being started or stopped already.", "Wait until that has ended, and try again."
            ) from error
        yield


def _check_ports(layout: Layout, components: Iterable[Component]) -> None:
    for component in components:
        if component_status(layout, component.name).state is State.STOPPED:
            for port in component.ports:
                require_free(component.name, port)


def _write_settings(layout: Layout, settings: Settings, progress: Callable[[str], None]) -> None:
    changed = write_settings(layout.settings_file, settings)
    if changed and is_running(layout, MODEL_SERVER):
        progress("the settings changed; the running model server keeps the old ones until `make down` and `make up`")


def _stop_all(layout: Layout, names: Iterable[str], progress: Callable[[str], None]) -> None:
    # Triggerer and scheduler go first, while what they run can still report to the API server how it ended.
    for name in [name for name in reversed(COMPONENT_NAMES) if name in set(names)]:
        if stop(layout, name):
            progress(f"stopped {name}")


def _wait_ready(
    layout: Layout, ready: Callable[[Sequence[str]], list[str]], progress: Callable[[str], None], deadline: float
) -> None:
    waiting = list(COMPONENT_NAMES)
    while waiting:
        _require_alive(layout)
        for name in ready(waiting):
            waiting.remove(name)
            progress(f"{name} is ready")
        if waiting and time.monotonic() > deadline:
            raise _failure(layout, waiting[0], "is not ready after the time limit")
        if waiting:
            time.sleep(POLL_SECONDS)


def _require_alive(layout: Layout) -> None:
    for name in COMPONENT_NAMES:
        if not is_running(layout, name):
            raise _failure(layout, name, "died")


def _failure(layout: Layout, name: str, what: str) -> StackError:
    lines = "\n".join(tail(layout.log_file(name), LOG_LINES)) or "(it printed nothing)"
    return StackError(f"{name} {what}. The last it printed:\n{lines}", f"All of it is in {layout.log_file(name)}.")


def _unpause(layout: Layout, dags: Sequence[str], progress: Callable[[str], None], deadline: float) -> None:
    """Unpause DAGs once in the stack's life: one that a person paused later stays paused."""
    path = layout.airflow_home / "unpaused"
    done = path.read_text(encoding="utf-8").split() if path.is_file() else []
    with airflow_api(layout) as api:
        for dag_id in [dag_id for dag_id in dags if dag_id not in done]:
            _wait_for_dag(layout, api, dag_id, deadline)
            api.unpause(dag_id)
            progress(f"unpaused {dag_id}")
            done.append(dag_id)
            replace_file(path, "\n".join(done))


def _wait_for_dag(layout: Layout, api: AirflowApi, dag_id: str, deadline: float) -> None:
    while not api.has_dag(dag_id):
        _require_alive(layout)
        # A DAG's file has the DAG's name; what is wrong with other files need not stop the stack.
        for name, trace in api.import_errors().items():
            if PurePath(name).stem == dag_id:
                raise StackError(f"Airflow cannot import {name}:\n{trace}", f"Mend it in {layout.dags}.")
        if time.monotonic() > deadline:
            raise _failure(layout, "dag-processor", f"has not found the DAG {dag_id!r} in {layout.dags}")
        time.sleep(POLL_SECONDS)
