"""Model servers for tests: one inside the test process, others as processes of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import requests

from free_ports import free_ports

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from serving.server.options import ServerOptions
    from serving.server.process import ModelServer

START_SECONDS = 60


def wait_until(condition: Callable[[], bool], seconds: float = START_SECONDS) -> None:
    """Wait for a condition to hold, and fail when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.01)


@dataclass(frozen=True)
class LocalServer:
    """A server inside the test process, and where it listens."""

    server: ModelServer
    options: ServerOptions

    @property
    def target(self) -> str:
        return f"{self.options.host}:{self.options.grpc_port}"

    @property
    def root(self) -> str:
        return f"http://{self.options.host}:{self.options.rest_port}"


def start_local(options: ServerOptions) -> LocalServer:
    """Start a server in this process on free ports; with ``wait_for_model`` once every model has a version."""
    from serving.server.process import ModelServer

    grpc_port, rest_port = free_ports(2)
    options = replace(options, grpc_port=grpc_port, rest_port=rest_port)
    server = ModelServer(options)
    try:
        server.start()
        wait_until(lambda: server.is_ready or not options.wait_for_model)
        server.open()
    except BaseException:
        server.close()
        raise
    return LocalServer(server, options)


@dataclass
class ProcessServer:
    """A server as a process of its own; ``output`` is what it logged."""

    process: subprocess.Popen[bytes]
    grpc_port: int
    rest_port: int
    log_path: Path

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.grpc_port}"

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self.rest_port}"

    @property
    def output(self) -> str:
        return self.log_path.read_text()

    def wait_for_output(self, text: str) -> None:
        self._wait(lambda: text in self.output)

    def wait_for_port(self) -> None:
        self._wait(self.is_open)

    def is_open(self) -> bool:
        try:
            requests.get(self.root, timeout=5)
        except requests.ConnectionError:
            return False
        return True

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(15)

    def _wait(self, condition: Callable[[], bool]) -> None:
        def holds() -> bool:
            assert self.process.poll() is None, f"ended with {self.process.returncode}:\n{self.output}"
            return condition()

        wait_until(holds)


@dataclass
class ProcessLauncher:
    """Starts servers with tensorflow_model_server's flags, and ends those that a test left."""

    folder: Path
    started: list[ProcessServer] = field(default_factory=list)

    def start(self, *flags: str) -> ProcessServer:
        grpc_port, rest_port = free_ports(2)
        command = [sys.executable, "-m", "serving.server", f"--port={grpc_port}", f"--rest_api_port={rest_port}"]
        log_path = self.folder / f"server-{len(self.started)}.log"
        with log_path.open("wb") as log:
            process = subprocess.Popen([*command, *flags], stdout=log, stderr=log, env=dict(os.environ))
        self.started.append(ProcessServer(process, grpc_port, rest_port, log_path))
        return self.started[-1]

    def end(self) -> None:
        for server in self.started:
            if server.process.poll() is None:
                server.process.kill()
            server.process.wait()
