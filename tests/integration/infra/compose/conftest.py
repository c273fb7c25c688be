"""The stack of docker-compose.yaml, once, with the profiles cpu, monitoring and demo."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from container_engine import Project, missing_for_engine, running_engine
from free_ports import free_ports
from infra.compose.env import render
from infra.local.airflow_api import AirflowApi

#: Keeps images and packages from one run to the next.
FOLDER = "QUARTET_ENGINE_FOLDER"
PORTS = ("AIRFLOW", "GRPC", "REST", "STORE", "STORE_CONSOLE", "MLFLOW", "PROMETHEUS", "GRAFANA")
DEMO_SECONDS = 1800


@pytest.fixture(scope="package")
def engine():
    missing = missing_for_engine()
    if missing:
        pytest.skip(f"no container engine: {missing}")
    folder = Path(os.environ.get(FOLDER) or "/var/tmp/quartet-engine")
    folder.mkdir(parents=True, exist_ok=True)
    with running_engine(folder) as running:
        running.build()
        yield running


@pytest.fixture(scope="package")
def secrets(tmp_path_factory):
    """What ``.env`` says, with free ports."""
    text = render("cpu,monitoring,demo")
    ports = zip(PORTS, free_ports(len(PORTS)), strict=True)
    text += "".join(f"QUARTET_{name}_PORT={port}\n" for name, port in ports)
    path = tmp_path_factory.mktemp("compose") / "env"
    path.write_text(text)
    values = dict(line.split("=", 1) for line in text.splitlines() if line and not line.startswith("#"))
    return path, values


@pytest.fixture(scope="package")
def project(engine, secrets):
    project = Project(engine, "quartet-test", secrets[0])
    project.compose("down", "--volumes", check=False)
    try:
        project.compose("up", "--detach", "--no-build")
        yield project
    finally:
        if os.environ.get("QUARTET_KEEP_STACK") != "1":
            project.compose("down", "--volumes", check=False)


@pytest.fixture(scope="package")
def demo(project):
    """What the demo printed; it has ended well."""
    container = project.container("demo")
    deadline = time.monotonic() + DEMO_SECONDS
    while project.engine.docker("inspect", "--format", "{{.State.Running}}", container).strip() == "true":
        if time.monotonic() > deadline:
            pytest.fail(f"The demo has not ended after {DEMO_SECONDS} s:\n{project.logs('demo')[-3000:]}")
        time.sleep(5)
    status = int(project.engine.docker("inspect", "--format", "{{.State.ExitCode}}", container))
    assert status == 0, project.logs("demo")[-3000:]
    return project.logs("demo")


@pytest.fixture(scope="package")
def api(demo, secrets):
    _, values = secrets
    url = f"http://127.0.0.1:{values['QUARTET_AIRFLOW_PORT']}"
    with AirflowApi(url, "admin", values["AIRFLOW_ADMIN_PASSWORD"]) as api:
        yield api


@pytest.fixture(scope="package")
def in_worker(project):
    """Run Python in the worker's container, with other variables where given; status and what it printed."""

    def run(code, **environ):
        given = [part for name, value in environ.items() for part in ("--env", f"{name}={value}")]
        container = project.container("airflow-worker")
        command = ["docker", "exec", *given, container, "python", "-c", code]
        result = subprocess.run(
            command, env=dict(project.engine.environ), capture_output=True, text=True, check=False, timeout=300
        )
        return result.returncode, result.stdout + result.stderr

    return run
