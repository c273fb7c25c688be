"""A local model server as a process of its own, for tests that need one and care for nothing else of it."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import requests

from free_ports import free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

START_SECONDS = 120


@dataclass(frozen=True)
class RunningServer:
    """Where it listens."""

    name: str
    grpc_port: int
    rest_port: int
    host: str = "127.0.0.1"

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.rest_port}/v1/models/{self.name}"

    def states(self) -> dict[int, str]:
        """The state of each version; none while there is no model."""
        answer = requests.get(self.url, timeout=5).json()
        return {int(entry["version"]): entry["state"] for entry in answer.get("model_version_status", [])}

    def wait_for(self, **states: str) -> None:
        """Wait until versions, as ``v7="AVAILABLE"``, have states."""
        wanted = {int(name[1:]): state for name, state in states.items()}
        deadline = time.monotonic() + START_SECONDS
        while not wanted.items() <= self.states().items():
            assert time.monotonic() < deadline, self.states()
            time.sleep(0.05)


@contextmanager
def model_server(name: str, log: Path, *flags: str) -> Iterator[RunningServer]:
    """Run a server with what ``flags`` say of its models until the block ends."""
    grpc_port, rest_port = free_ports(2)
    command = [sys.executable, "-m", "serving.server", f"--port={grpc_port}", f"--rest_api_port={rest_port}", *flags]
    with log.open("wb") as file, subprocess.Popen(command, stdout=file, stderr=file) as process:
        try:
            server = RunningServer(name, grpc_port, rest_port)
            deadline = time.monotonic() + START_SECONDS
            while not _answers(server):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.1)
            yield server
        finally:
            process.kill()


def _answers(server: RunningServer) -> bool:
    try:
        requests.get(server.url, timeout=5)
    except requests.ConnectionError:
        return False
    return True


def write_model_config(path: Path, name: str, base: Path, versions: Sequence[int], **labels: int) -> None:
    """Say what a server that polls the file shall serve: written under another name, then renamed."""
    listed = " ".join(f"versions: {version}" for version in versions)
    named = " ".join(f'version_labels {{ key: "{label}" value: {version} }}' for label, version in labels.items())
    text = (
        f'model_config_list {{ config {{ name: "{name}" base_path: "{base}" model_platform: "tensorflow" '
        f"model_version_policy {{ specific {{ {listed} }} }} {named} }} }}"
    )
    temporary = path.with_suffix(".tmp")
    temporary.write_text(text)
    temporary.replace(path)


@contextmanager
def labelled_server(name: str, config: Path) -> Iterator[RunningServer]:
    """Run a server as the local stack does: what a model config file says, which it polls."""
    with model_server(
        name,
        config.with_suffix(".log"),
        f"--model_config_file={config}",
        "--model_config_file_poll_wait_seconds=0.1",
        "--file_system_poll_wait_seconds=0.1",
        "--allow_version_labels_for_unavailable_models=true",
    ) as server:
        yield server
