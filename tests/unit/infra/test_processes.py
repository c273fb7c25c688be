from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from dataclasses import replace

import psutil
import pytest

from infra.local import processes
from infra.local.errors import PortInUseError, StackError
from infra.local.ports import Port
from infra.local.processes import State, component_status, is_running, start, stop
from infra.local.records import Record, read_record, write_record

SLEEP = "import time; time.sleep(600)"
#: Starts a child for each set of options; each child starts one more.
FAMILY = """
import subprocess, sys, time
child = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(600)'])"
for options in {options}:
    subprocess.Popen([sys.executable, "-c", child], **options)
time.sleep(600)
"""
DEAF = """
import pathlib, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path("deaf").touch()
time.sleep(600)
"""


def members(layout):
    process = psutil.Process(component_status(layout, "worker").pid)
    return [process, *process.children(recursive=True)]


def lives(process):
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_component_runs_in_a_session_of_its_own_and_logs_what_it_prints(layout, python_component, wait_until):
    assert start(layout, python_component(f"print('hello', flush=True); {SLEEP}"))
    pid = component_status(layout, "worker").pid
    assert os.getsid(pid) == os.getpgid(pid) == pid
    wait_until(lambda: layout.log_file("worker").read_text() == "hello\n")


def test_a_component_that_runs_is_left_alone(layout, python_component):
    component = python_component(SLEEP)
    start(layout, component)
    pid = component_status(layout, "worker").pid
    assert not start(layout, component)
    assert component_status(layout, "worker").pid == pid


def test_a_component_that_runs_elsewhere_is_not_moved_silently(layout, python_component):
    start(layout, python_component(SLEEP, address="one"))
    with pytest.raises(StackError, match="runs at one, but two is asked for"):
        start(layout, python_component(SLEEP, address="two"))


def test_one_that_ended_has_died_and_its_last_lines_are_there(layout, python_component, wait_until):
    start(layout, python_component("import sys; print('so it goes'); sys.exit(3)"))
    wait_until(lambda: component_status(layout, "worker").state is State.DIED)
    assert component_status(layout, "worker").last_lines == ("so it goes",)


def test_what_was_never_started_is_stopped_and_stopping_it_does_nothing(layout):
    assert component_status(layout, "worker").state is State.STOPPED
    assert not stop(layout, "worker")


def test_stop_ends_children_in_groups_and_sessions_of_their_own(layout, python_component, wait_until):
    start(layout, python_component(FAMILY.format(options=[{}, {"process_group": 0}, {"start_new_session": True}])))
    wait_until(lambda: len(members(layout)) == 7)
    before = members(layout)
    assert stop(layout, "worker")
    assert not any(map(lives, before))
    assert component_status(layout, "worker").state is State.STOPPED
    assert not layout.pid_file("worker").exists()


def test_stop_ends_what_a_killed_component_left_behind(layout, python_component, wait_until):
    start(layout, python_component(FAMILY.format(options=[{}, {"process_group": 0}])))
    wait_until(lambda: len(members(layout)) == 5)
    leader, *others = members(layout)
    leader.kill()
    wait_until(lambda: component_status(layout, "worker").state is State.DIED)
    assert stop(layout, "worker")
    assert not any(map(lives, others))


def test_one_that_ignores_sigterm_is_killed_after_the_limit(layout, python_component, wait_until):
    start(layout, python_component(DEAF))
    wait_until((layout.root / "deaf").exists)
    process = psutil.Process(component_status(layout, "worker").pid)
    assert stop(layout, "worker", term_seconds=0.3)
    assert not lives(process)


def test_one_that_starts_children_while_it_is_stopped_leaves_none(layout, python_component, wait_until):
    code = f"""
import pathlib, signal, subprocess, sys, time
def more(*_):
    subprocess.Popen([sys.executable, "-c", {SLEEP!r}], process_group=0)
    pathlib.Path("more").touch()
signal.signal(signal.SIGTERM, more)
pathlib.Path("ready").touch()
while True:
    time.sleep(0.1)
"""
    start(layout, python_component(code))
    wait_until((layout.root / "ready").exists)
    session = component_status(layout, "worker").pid
    stop(layout, "worker", term_seconds=1)
    assert (layout.root / "more").exists()
    assert [
        entry for entry in processes.read_process_table().values() if entry.session == session and entry.alive
    ] == []


def test_processes_that_cannot_be_ended_are_an_error_and_stay_on_record(layout, python_component, monkeypatch):
    start(layout, python_component(SLEEP))
    pid = component_status(layout, "worker").pid
    with monkeypatch.context() as patch:
        patch.setattr(processes, "_signal", lambda entries, number: None)
        patch.setattr(processes, "KILL_SECONDS", 0.1)
        with pytest.raises(StackError, match=str(pid)):
            stop(layout, "worker", term_seconds=0.1)
    assert is_running(layout, "worker")


def test_a_recycled_pid_is_not_mistaken_for_the_component(layout, python_component):
    with subprocess.Popen([sys.executable, "-c", SLEEP], start_new_session=True) as stranger:
        start(layout, python_component(SLEEP))
        stop(layout, "worker")
        entry = processes.read_process_table()[stranger.pid]
        pid_file = layout.pid_file("worker")
        write_record(pid_file, Record(replace(entry, started="1"), ""))
        try:
            assert component_status(layout, "worker").state is State.DIED
            assert not stop(layout, "worker")
            assert stranger.poll() is None
        finally:
            stranger.kill()


def test_one_that_died_can_be_started_again_and_its_last_log_is_kept(layout, python_component, wait_until):
    start(layout, python_component("print('first')"))
    wait_until(lambda: component_status(layout, "worker").state is State.DIED)
    assert start(layout, python_component(SLEEP))
    assert is_running(layout, "worker")
    assert layout.log_file("worker").with_name("worker.log.1").read_text() == "first\n"


def test_a_taken_port_is_refused_before_anything_starts(layout, python_component):
    with socket.create_server(("127.0.0.1", 0)) as server:
        number = server.getsockname()[1]
        with pytest.raises(PortInUseError, match=f"worker wants port {number}"):
            start(layout, python_component(SLEEP, ports=(Port(number, "VARIABLE"),)))
    assert not layout.pid_file("worker").exists()


def test_a_command_that_is_not_there_is_an_error_with_the_reason(layout, python_component):
    component = replace(python_component(SLEEP), command=("/does/not/exist",))
    with pytest.raises(StackError, match="/does/not/exist"):
        start(layout, component)
    assert component_status(layout, "worker").state is State.STOPPED


def test_a_component_gets_its_environment_and_nothing_on_standard_input(layout, python_component, wait_until):
    code = f"import os, sys; print(os.environ['COLOUR'], repr(sys.stdin.read()), flush=True); {SLEEP}"
    component = python_component(code)
    start(layout, replace(component, environment={**component.environment, "COLOUR": "red"}))
    wait_until(lambda: layout.log_file("worker").read_text() == "red ''\n")


def test_the_pid_file_names_the_process_as_it_started(layout, python_component):
    start(layout, python_component(SLEEP, address="here"))
    data = json.loads(layout.pid_file("worker").read_text())
    assert data["address"] == "here"
    assert read_record(layout.pid_file("worker")).process.pid == data["process"]["pid"]
