from __future__ import annotations

import fcntl
import os
import socket
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from infra.local import stack
from infra.local.errors import PortInUseError, StackError
from infra.local.ports import Port
from infra.local.processes import Component, State
from ml.errors import ConfigError

FAKE_AIRFLOW = str(Path(__file__).with_name("fake_airflow.py"))
SLEEP = "import time; time.sleep(600)"
BEAT = "import pathlib, sys, time; pathlib.Path(sys.argv[1]).touch(); time.sleep(600)"
REST = """
import http.server, sys
handler = http.server.BaseHTTPRequestHandler
handler.do_GET = lambda self: self.send_error(404)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), handler).serve_forever()
"""


@pytest.fixture
def components(layout, monkeypatch):
    """Processes that answer like the real components; a test changes them before it calls `up`."""
    python, ports, environment = sys.executable, layout.ports, dict(os.environ)
    made = {
        "model-server": Component("model-server", (python, "-c", REST, str(ports.rest)), environment),
        "api-server": Component(
            "api-server", (python, FAKE_AIRFLOW, str(ports.airflow), str(layout.root)), environment
        ),
        "dag-processor": Component("dag-processor", (python, "-c", BEAT, "dag_processor.beat"), environment),
        "scheduler": Component("scheduler", (python, "-c", BEAT, "scheduler.beat"), environment),
        "triggerer": Component("triggerer", (python, "-c", BEAT, "triggerer.beat"), environment),
    }
    monkeypatch.setattr(stack, "build_components", lambda *arguments: tuple(made.values()))
    monkeypatch.setattr(stack, "prepare_database", lambda *arguments: False)
    yield made
    stack.down(layout)


@pytest.fixture
def up(layout, components):
    said: list[str] = []

    def run(dags=(), environ=None, seconds=20):
        said.clear()
        stack.up(layout, said.append, environ=environ or {}, dags=dags, seconds=seconds)
        return said

    return run


def states(layout):
    return {item.state for item in stack.status(layout)}


def test_up_starts_everything_and_says_when_it_is_ready(layout, up):
    said = up()
    assert states(layout) == {State.RUNNING}
    assert {text.removesuffix(" is ready") for text in said if text.endswith("is ready")} == set(stack.COMPONENT_NAMES)


def test_up_again_leaves_all_processes_alone(layout, up):
    up()
    before = stack.status(layout)
    up()
    assert stack.status(layout) == before


def test_up_starts_what_died_and_nothing_else(layout, up, wait_until):
    up()
    before = {item.name: item.pid for item in stack.status(layout)}
    os.kill(before["scheduler"], 9)
    wait_until(lambda: State.DIED in states(layout))
    assert "started scheduler" in up()
    after = {item.name: item.pid for item in stack.status(layout)}
    assert {name for name in before if before[name] != after[name]} == {"scheduler"}


def test_down_stops_everything_and_can_be_said_twice(layout, up):
    up()
    stack.down(layout)
    assert states(layout) == {State.STOPPED}
    stack.down(layout)


def test_down_without_a_stack_makes_nothing(tmp_path):
    root = tmp_path / "elsewhere"
    root.mkdir()
    stack.down(stack.Layout(root))
    assert list(root.iterdir()) == []


def test_the_settings_that_components_read_hold_the_overrides(layout, up):
    up(environ={"QUARTET__TRAIN__EPOCHS": "3"})
    written = yaml.safe_load(layout.settings_file.read_text())
    assert written["train"]["epochs"] == 3
    assert written["store"]["url"] == str(layout.store)


def test_settings_changed_under_a_running_server_are_mentioned(up):
    up()
    assert any("the settings changed" in text for text in up(environ={"QUARTET__TRAIN__EPOCHS": "3"}))


def test_one_that_dies_is_named_with_its_last_lines_and_the_others_are_stopped(layout, components, up):
    code = "import sys; print('no such option'); sys.exit(2)"
    components["scheduler"] = replace(components["scheduler"], command=(sys.executable, "-c", code))
    with pytest.raises(StackError, match=r"(?s)scheduler died.*no such option") as caught:
        up()
    assert "scheduler.log" in caught.value.remedy
    assert states(layout) <= {State.STOPPED}


def test_the_heartbeat_of_a_process_that_is_gone_does_not_make_its_successor_ready(layout, components, up):
    up()
    stack.stop(layout, "scheduler")
    components["scheduler"] = replace(components["scheduler"], command=(sys.executable, "-c", SLEEP))
    with pytest.raises(StackError, match="scheduler is not ready"):
        up(seconds=1)


def test_one_that_never_gets_ready_is_named_when_the_time_is_up(layout, components, up):
    components["model-server"] = replace(components["model-server"], command=(sys.executable, "-c", SLEEP))
    with pytest.raises(StackError, match="model-server is not ready"):
        up(seconds=1)
    assert states(layout) == {State.STOPPED}


def test_a_failed_up_does_not_stop_what_ran_before(layout, components, up):
    up()
    stack.stop(layout, "scheduler")
    components["scheduler"] = replace(components["scheduler"], command=(sys.executable, "-c", "raise SystemExit(1)"))
    with pytest.raises(StackError, match="scheduler died"):
        up()
    assert {item.name: str(item.state) for item in stack.status(layout)} == {
        "model-server": "running", "api-server": "running", "dag-processor": "running", "scheduler": "stopped",
        "triggerer": "running",
    }  # fmt: skip


def test_a_taken_port_is_found_before_anything_starts(layout, components, up):
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = Port(server.getsockname()[1], "QUARTET_AIRFLOW_PORT")
        components["api-server"] = replace(components["api-server"], ports=(taken,))
        with pytest.raises(PortInUseError, match="api-server wants port"):
            up()
    assert states(layout) == {State.STOPPED}


def test_a_dag_is_unpaused_once_and_then_left_as_people_want_it(layout, up):
    (layout.root / "tiny").touch()
    up(dags=["tiny"])
    up(dags=["tiny"])
    assert (layout.root / "unpaused").read_text().split() == ["tiny"]


def test_a_dag_that_cannot_be_imported_ends_the_wait(layout, up):
    (layout.root / "tiny.broken").touch()
    with pytest.raises(StackError, match=r"(?s)tiny\.py.*SyntaxError"):
        up(dags=["tiny"])


def test_another_dag_that_cannot_be_imported_does_not(layout, up):
    (layout.root / "other.broken").touch()
    with pytest.raises(StackError, match="has not found the DAG 'tiny'"):
        up(dags=["tiny"], seconds=1.5)
    (layout.root / "tiny").touch()
    up(dags=["tiny"])


@pytest.mark.parametrize("act", [stack.up, stack.down])
def test_two_at_a_time_are_refused(layout, act):
    with (layout.run / "lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(StackError, match="already"):
            act(layout)


def test_logs_give_the_last_lines_of_each(layout):
    layout.log_file("scheduler").write_text("one\ntwo\n")
    assert stack.logs(layout, ["scheduler", "api-server"], lines=1) == {"scheduler": ("two",), "api-server": ()}


def test_a_log_of_nothing_known_is_refused_with_what_is_known(layout):
    with pytest.raises(StackError, match=r"'webserver'.*Known: model-server, api-server"):
        stack.logs(layout, ["webserver"])


def test_the_ports_come_from_the_settings_and_the_variables(layout):
    environ = {"QUARTET__SERVING__GRPC_PORT": "9500", "QUARTET_AIRFLOW_PORT": "9080"}
    ports = stack.load_layout(layout.root, environ).ports
    assert (ports.airflow, ports.grpc, ports.rest) == (9080, 9500, 8501)


def test_one_port_for_two_services_is_refused(layout):
    with pytest.raises(ConfigError, match="three different ports"):
        stack.load_layout(layout.root, {"QUARTET__SERVING__GRPC_PORT": "8080"})
