"""Components as processes: start, status, stop. Each has a session, a log and a pid file of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from infra.local.errors import StackError
from infra.local.files import tail
from infra.local.ports import require_free
from infra.local.process_table import ProcessEntry, family, read_process_table
from infra.local.records import read_record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from infra.local.layout import Layout
    from infra.local.ports import Port

__all__ = ["Component", "ComponentStatus", "State", "component_status", "is_running", "start", "stop"]

#: A task that is running gets this long to react to SIGTERM.
TERM_SECONDS = 15.0
#: After SIGKILL only a process stuck in the kernel is still there.
KILL_SECONDS = 5.0
POLL_SECONDS = 0.05
LAST_LINES = 12


@dataclass(frozen=True)
class Component:
    """What to run.

    ``address`` is for people; ``ports`` are those that must be free before the start.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    address: str = ""
    ports: tuple[Port, ...] = ()


class State(StrEnum):
    """Of a component."""

    RUNNING = "running"
    STOPPED = "stopped"
    DIED = "died"


@dataclass(frozen=True)
class ComponentStatus:
    """A component as it is now; ``last_lines`` of its log are there when it died."""

    name: str
    state: State
    pid: int | None = None
    address: str = ""
    last_lines: tuple[str, ...] = ()


def component_status(layout: Layout, name: str) -> ComponentStatus:
    """Look at the pid file and at the process it names."""
    record = read_record(layout.pid_file(name))
    if record is None:
        return ComponentStatus(name, State.STOPPED)
    current = read_process_table().get(record.process.pid)
    if current is not None and current.alive and current.is_same(record.process):
        return ComponentStatus(name, State.RUNNING, current.pid, record.address)
    return ComponentStatus(name, State.DIED, last_lines=tail(layout.log_file(name), LAST_LINES))


def is_running(layout: Layout, name: str) -> bool:
    """Whether the component's own process is there."""
    return component_status(layout, name).state is State.RUNNING


def start(layout: Layout, component: Component) -> bool:
    """Start a component; return False, and leave it alone, when it runs already.

    What an earlier process of the component left behind is stopped first. Whether the component gets ready is
    for the caller to find out.

    Raises:
        PortInUseError: something else has its port.
        StackError: it runs at another address, or the command cannot be started.
    """
    status = component_status(layout, component.name)
    if status.state is State.RUNNING:
        _require_address(component, status)
        return False
    stop(layout, component.name)
    for port in component.ports:
        require_free(component.name, port)
    _spawn(layout, component)
    return True


def stop(layout: Layout, name: str, term_seconds: float = TERM_SECONDS) -> bool:
    """End a component with all that it started; return whether there was anything to end.

    SIGTERM first, SIGKILL for what is left after the limit. The pid file goes once no process is left.

    Raises:
        StackError: processes are left over.
    """
    pid_file = layout.pid_file(name)
    record = read_record(pid_file)
    if record is None:
        return False
    members = family(record.process, read_process_table())
    ended_any = bool(members)
    left = _end(record.process, members, signal.SIGTERM, term_seconds)
    left = _end(record.process, left, signal.SIGKILL, KILL_SECONDS)
    if left:
        pids = ", ".join(str(entry.pid) for entry in sorted(left, key=lambda entry: entry.pid))
        raise StackError(f"{name} left processes that do not end: {pids}.", f"kill -9 {pids.replace(',', '')}")
    pid_file.unlink()
    return ended_any


def _end(leader: ProcessEntry, members: set[ProcessEntry], number: signal.Signals, seconds: float) -> set[ProcessEntry]:
    """Signal the members, and those that they start meanwhile; return those that are left after the limit."""
    signalled: set[ProcessEntry] = set()
    deadline = time.monotonic() + seconds
    while members:
        _signal({entry for entry in members if not any(entry.is_same(other) for other in signalled)}, number)
        signalled |= members
        if time.monotonic() > deadline:
            break
        time.sleep(POLL_SECONDS)
        members = family(leader, read_process_table(), signalled)
    return members


def _signal(entries: Iterable[ProcessEntry], number: signal.Signals) -> None:
    for entry in entries:
        try:
            os.kill(entry.pid, number)
        except ProcessLookupError:  # it ended by itself
            continue


def _spawn(layout: Layout, component: Component) -> None:
    log = layout.log_file(component.name)
    if log.is_file():
        log.replace(log.with_name(f"{log.name}.1"))
    pid_file = str(layout.pid_file(component.name))
    command = [sys.executable, "-m", "infra.local.spawn", pid_file, component.address, *component.command]
    with log.open("wb") as output:
        result = subprocess.run(
            command,
            cwd=layout.root,
            env=dict(component.environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            check=False,
        )
    if result.returncode:
        lines = "\n".join(tail(log, LAST_LINES))
        raise StackError(f"{component.name} could not be started:\n{lines}", f"All of it is in {log}.")


def _require_address(component: Component, status: ComponentStatus) -> None:
    if status.address != component.address:
        raise StackError(
            f"{component.name} runs at {status.address}, but {component.address} is asked for.",
            "Run `make down` first, or go back to the ports it was started with.",
        )
