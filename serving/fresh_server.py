"""A model server of its own for one model, for as long as a block runs."""

from __future__ import annotations

import logging
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc

from ml.errors import ConfigError, ServingError
from serving.tied import tied

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["HOST", "LOCAL_COMMAND", "VERSION", "FreshServer", "fresh_server"]

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
#: That the model gets there.
VERSION = 1
#: Quartet's own server. Its ports open before the model is loaded, so that a load that failed can be asked about.
LOCAL_COMMAND = (
    sys.executable,
    "-m",
    "serving.server",
    "--model_name={model_name}",
    "--model_base_path={base_path}",
    "--port={port}",
    "--rest_api_port={rest_port}",
    "--max_num_load_retries=0",
    "--no-wait_for_model",
)
POLL_SECONDS = 0.1
#: What the server gets to end in after SIGTERM.
STOP_SECONDS = 10.0
STATUS_SECONDS = 5.0
AVAILABLE, END = 30, 50
LOG_LINES = 20


@dataclass(frozen=True)
class FreshServer:
    """A server that runs, and where it listens.

    Attributes:
        process: the one that was started.
        port: for gRPC.
        rest_port: for REST.
        model_name: of its only model.
        channel: to ``port``.
        log_path: of what it writes.
    """

    process: subprocess.Popen[bytes]
    port: int
    rest_port: int
    model_name: str
    channel: Any
    log_path: Path

    def wait(self, timeout_seconds: float) -> float:
        """Wait until the model is available.

        Returns:
            Seconds that this took.

        Raises:
            ServingError: the server ended, could not load the model, or was not ready in time.
        """
        started = time.monotonic()
        while not self._is_available():
            if self.process.poll() is not None:
                raise self.error(f"The model server ended with status {self.process.returncode} before it was ready.")
            if time.monotonic() - started > timeout_seconds:
                raise self.error(f"The model server was not ready within {timeout_seconds:g} s.")
            time.sleep(POLL_SECONDS)
        return time.monotonic() - started

    def peak_memory(self) -> int | None:
        """Largest resident memory of the process that was started so far, bytes; None where the system keeps none."""
        try:
            status = Path(f"/proc/{self.process.pid}/status").read_text()
        except OSError:
            return None
        found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
        return int(found[1]) * 1024 if found else None

    def error(self, message: str) -> ServingError:
        """An error with the last lines of the server's log."""
        lines = self.log_path.read_text(errors="replace").splitlines()[-LOG_LINES:]
        return ServingError("\n".join([message, "The server's last lines:", *lines]), "Nothing was published.")

    def _is_available(self) -> bool:
        from tensorflow_serving.apis import get_model_status_pb2, model_service_pb2_grpc

        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = self.model_name
        try:
            stub = model_service_pb2_grpc.ModelServiceStub(self.channel)
            answer = stub.GetModelStatus(request, timeout=STATUS_SECONDS)
        except grpc.RpcError as error:
            # Not listening yet, or the model's folder has not been looked at yet.
            if error.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.NOT_FOUND}:
                return False
            if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                return False
            raise self.error(f"The model server cannot say how the model is: {error.details()}") from error
        for status in answer.model_version_status:
            if status.state == END:
                raise self.error(f"The model server could not load the model: {status.status.error_message}")
        return any(status.state == AVAILABLE for status in answer.model_version_status)


@contextmanager
def fresh_server(folder: Path, model_name: str, command: Sequence[str] | None = None) -> Iterator[FreshServer]:
    """Start a server for one SavedModel, and end it with the block whatever happens.

    Args:
        folder: the SavedModel's; its files are linked into a base path beside it as version 1.
        model_name: to serve it under.
        command: that starts the server, with ``{port}``, ``{rest_port}``, ``{base_path}`` and ``{model_name}`` where
            these go; None for Quartet's own.

    Raises:
        ConfigError: the command has other placeholders.
        ServingError: there is no such program.
    """
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="validation-", dir=folder.parent)))
        base = place / "models"
        # Links of files, not of the folder: a server in a container sees no more than the base path.
        shutil.copytree(folder, base / str(VERSION), copy_function=os.link)
        port, rest_port = _free_ports(2)
        places = {"port": port, "rest_port": rest_port, "base_path": base, "model_name": model_name}
        arguments = _fill(command or LOCAL_COMMAND, places)
        channel = stack.enter_context(grpc.insecure_channel(f"{HOST}:{port}", options=_CHANNEL_OPTIONS))
        process = _start(arguments, place / "server.log")
        stack.callback(_stop, process)
        log.info("started %s", " ".join(arguments))
        yield FreshServer(process, port, rest_port, model_name, channel, place / "server.log")


_CHANNEL_OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.enable_http_proxy", 0),
    # A port that nobody listens at yet is tried again soon.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
]


def _fill(command: Sequence[str], places: dict[str, Any]) -> list[str]:
    try:
        return [part.format(**places) for part in command]
    except (KeyError, IndexError, ValueError) as error:
        raise ConfigError(
            f"`promotion.validation.command` cannot be filled in: {error!r} in {list(command)}.",
            f"Known: {', '.join(f'{{{name}}}' for name in places)}.",
        ) from error


def _start(arguments: list[str], log_path: Path) -> subprocess.Popen[bytes]:
    if shutil.which(arguments[0]) is None:
        raise ConfigError(
            f"The model server cannot be started by {arguments[0]}: there is no such program.",
            "Correct `promotion.validation.command`.",
        )
    with log_path.open("wb") as output:
        # A group of its own: whatever the command starts can be ended with it. Tied: not left over by a killed task.
        return subprocess.Popen(  # noqa: S603 - what to start is a setting
            tied(arguments), stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )


def _stop(process: subprocess.Popen[bytes]) -> None:
    for sent in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, sent)
        except ProcessLookupError:
            break
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            log.warning("the model server did not end within %g s of %s", STOP_SECONDS, sent.name)
    process.wait()


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.create_server((HOST, 0))) for _ in range(count)]
        return [probe.getsockname()[1] for probe in probes]
