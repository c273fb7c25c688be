"""The local stack with a real Airflow: started, used, stopped, started again."""

from __future__ import annotations

import ipaddress
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from infra.local import stack
from infra.local.airflow_api import AirflowApi
from infra.local.credentials import VIEWER, read_password
from infra.local.errors import AirflowApiError
from infra.local.processes import State

ROOT = Path(__file__).parents[3]
DAG = """
from airflow.sdk import dag, get_current_context, task


@dag(schedule=None, params={"seconds": 0})
def tiny():
    @task(pool="gpu", map_index_template="{{ letter }}")
    def shout(letter):
        get_current_context()["letter"] = letter
        return letter.upper()

    @task.bash
    def linger():
        return "sleep {{ params.seconds }}"

    shout.expand(letter=["a", "b"])
    linger()


tiny()
"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def layout(environ, tmp_path_factory):
    root = tmp_path_factory.mktemp("stack")
    shutil.copy(ROOT / "quartet.yaml", root)
    shutil.copytree(ROOT / "plugins", root / "plugins", ignore=shutil.ignore_patterns("__pycache__"))
    (root / "dags").mkdir()
    (root / "dags/tiny.py").write_text(DAG)
    shutil.copy(ROOT / "dags/ingest_images.py", root / "dags")
    environ["QUARTET_LANDING_POLL_SECONDS"] = "1"
    layout = stack.load_layout(root, environ)
    yield layout
    stack.down(layout)


@pytest.fixture
def running(layout, environ):
    stack.up(layout, environ=environ, dags=["tiny", "ingest_images"])
    return layout


def run_to_the_end(api, run_id, dag_id="tiny"):
    deadline = time.monotonic() + 120
    while not (run := api.dag_run(dag_id, run_id)).finished:
        assert time.monotonic() < deadline, f"{run} does not end"
        time.sleep(0.3)
    return run


def processes_of(layout):
    leaders = [psutil.Process(item.pid) for item in stack.status(layout)]
    return [process for leader in leaders for process in (leader, *leader.children(recursive=True))]


def listening(processes):
    return {
        ipaddress.ip_address(connection.laddr.ip.removeprefix("::ffff:"))
        for process in processes
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }


def lives(process):
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_dag_runs_and_everything_can_be_seen(running):
    assert {item.state for item in stack.status(running)} == {State.RUNNING}
    with stack.airflow_api(running) as api:
        run = run_to_the_end(api, api.trigger("tiny").run_id)
        tasks = {(task.task_id, task.map_label): task.state for task in api.task_instances("tiny", run.run_id)}
        assert run.state == "success"
        assert tasks == {("shout", "a"): "success", ("shout", "b"): "success", ("linger", None): "success"}
        assert api.xcom("tiny", run.run_id, "shout", map_index=1) == "B"
        assert api.latest_runs("tiny", limit=1)[0].run_id == run.run_id
        assert api.pools()["gpu"] >= 1
        assert api.import_errors() == {}
    assert all(running.log_file(name).stat().st_size for name in stack.COMPONENT_NAMES[1:])


def test_nothing_listens_outside_the_machine(running):
    addresses = listening(processes_of(running))
    assert addresses
    assert all(address.is_loopback for address in addresses)


def test_a_viewer_may_look_but_not_start_a_run(running):
    with AirflowApi(running.airflow_url, VIEWER, read_password(running, VIEWER)) as api:
        assert api.has_dag("tiny")
        with pytest.raises(AirflowApiError, match="403"):
            api.trigger("tiny")


def test_a_file_in_the_landing_zone_starts_an_ingest_by_itself_and_only_once(running):
    (running.store / "landing/a").mkdir(parents=True)
    # No image, so that the run ends soon.
    (running.store / "landing/a/1.png").write_text("no image")
    with stack.airflow_api(running) as api:
        deadline = time.monotonic() + 120
        while not (runs := api.latest_runs("ingest_images")):
            assert time.monotonic() < deadline, running.log_file("triggerer").read_text()
            time.sleep(0.3)
        ended = run_to_the_end(api, runs[0].run_id, "ingest_images")
        tasks = {task.task_id: task.state for task in api.task_instances("ingest_images", ended.run_id)}

        assert ended.run_type == "asset_triggered"
        assert (tasks["list_arrivals"], tasks["take_in"], tasks["assemble"]) == ("success", "success", "failed")
        assert [run.run_id for run in api.latest_runs("ingest_images")] == [ended.run_id]


def test_down_leaves_no_process_not_even_a_running_tasks(running):
    with stack.airflow_api(running) as api:
        api.trigger("tiny", {"seconds": 600})
        deadline = time.monotonic() + 60
        while not any("sleep" in process.name() for process in processes_of(running)):
            assert time.monotonic() < deadline, "the task does not start"
            time.sleep(0.2)
    before = processes_of(running)
    stack.down(running)
    assert [process for process in before if lives(process)] == []
    assert {item.state for item in stack.status(running)} == {State.STOPPED}
    assert list(running.run.glob("*.json")) == []


def test_up_again_finds_what_was_there(running):
    with stack.airflow_api(running) as api:
        assert len(api.latest_runs("tiny")) >= 1
        assert run_to_the_end(api, api.trigger("tiny").run_id).state == "success"


def test_the_command_line_shows_the_stack(running):
    result = subprocess.run(
        [sys.executable, "-m", "infra.local", "status", "--root", running.root],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert result.stdout.count("running") == 5
    assert running.airflow_url in result.stdout
