"""PostgreSQL and Redis of the system, each with an empty folder of its own on the loopback address."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from free_ports import free_ports

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["find_postgres", "missing_programs", "postgres_server", "redis_server"]

START_SECONDS = 30.0
#: Debian keeps the server's own programs out of PATH.
POSTGRES_FOLDERS = "/usr/lib/postgresql/*/bin"
#: Nothing has to outlive the tests.
POSTGRES_OPTIONS = {"fsync": "off", "full_page_writes": "off", "dynamic_shared_memory_type": "mmap"}


def find_postgres() -> Path | None:
    """The folder with the newest ``initdb`` and ``postgres`` that this machine has."""
    found = sorted(Path("/").glob(f"{POSTGRES_FOLDERS}/initdb".lstrip("/")), key=lambda path: float(path.parts[4]))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


def missing_programs() -> list[str]:
    """Which of the servers here this machine cannot start."""
    there = {"postgres": find_postgres(), "redis-server": shutil.which("redis-server")}
    return [name for name, place in there.items() if place is None]


@contextmanager
def postgres_server(programs: Path, databases: Sequence[str]) -> Iterator[str]:
    """A server with some databases, each with an owner of its name; yields ``127.0.0.1:port``.

    It refuses to run as root: its own user, whom Debian's package makes, runs it then.
    """
    (port,) = free_ports(1)
    with tempfile.TemporaryDirectory(prefix="postgres-") as name:
        folder = Path(name)
        as_user: tuple[str, ...] = ()
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
            as_user = ("--reuid", "postgres", "--regid", "postgres", "--clear-groups")
        data = folder / "data"
        initdb = (str(programs / "initdb"), "-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "-N")
        _run("setpriv", *as_user, "--", *initdb)
        options = [word for item in POSTGRES_OPTIONS.items() for word in ("-c", "=".join(item))]
        command = (str(programs / "postgres"), "-D", str(data), "-p", str(port), "-h", "127.0.0.1", "-k", str(folder))
        # Asked to quit it takes its children and shared memory along; killed it would not.
        with _daemon((*command, *options), folder / "log", port, signal.SIGQUIT, as_user):
            ready = (str(programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port))
            _wait_until(lambda: subprocess.run(ready, check=False).returncode == 0, folder / "log")
            for database in databases:
                statements = (f'CREATE ROLE "{database}" LOGIN', f'CREATE DATABASE "{database}" OWNER "{database}"')
                psql = (str(programs / "psql"), "-h", "127.0.0.1", "-p", str(port), "-U", "postgres", "-q")
                _run(*psql, *(word for statement in statements for word in ("-c", statement)))
            yield f"127.0.0.1:{port}"


@contextmanager
def redis_server() -> Iterator[str]:
    """A server that keeps everything in memory; yields ``127.0.0.1:port``."""
    (port,) = free_ports(1)
    with tempfile.TemporaryDirectory(prefix="redis-") as folder:
        command = ("redis-server", "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", folder)
        with _daemon(command, Path(folder) / "log", port, signal.SIGKILL):
            yield f"127.0.0.1:{port}"


@contextmanager
def _daemon(
    command: Sequence[str], log: Path, port: int, end: signal.Signals, as_user: Sequence[str] = ()
) -> Iterator[None]:
    # The kernel ends it with the tests, should they be killed before they can do it.
    guarded = ("setpriv", *as_user, "--pdeathsig", end.name.removeprefix("SIG"), "--", *command)
    with log.open("wb") as output:
        process = subprocess.Popen(guarded, stdout=output, stderr=output, cwd=log.parent)
    try:
        _wait_until(lambda: process.poll() is not None or _opened(port), log)
        assert process.poll() is None, log.read_text(errors="replace")[-2000:]
        yield
    finally:
        process.send_signal(end)
        process.wait(START_SECONDS)


def _opened(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except ConnectionRefusedError:
        return False
    return True


def _wait_until(look: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not look():
        assert time.monotonic() < deadline, log.read_text(errors="replace")[-2000:]
        time.sleep(0.05)


def _run(*command: str) -> None:
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=START_SECONDS)
    assert result.returncode == 0, f"{command}:\n{result.stdout}{result.stderr}"
