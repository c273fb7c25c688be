"""Tiny SavedModels, and servers for them: one inside the test process, others as processes of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import requests
import tensorflow as tf

from free_ports import free_ports

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CLASSES = ("round", "square", "star")
START_SECONDS = 60


class Classifier(tf.Module):
    """The project's signature over a model that depends on the version: mean colour times a weight."""

    def __init__(self, version: int) -> None:
        super().__init__()
        self.weight = tf.Variable(tf.random.stateless_normal([3, 3], seed=[version, 0]))
        self.names = tf.constant(CLASSES)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
    def classify(self, image_bytes: Any) -> dict[str, Any]:
        def mean_colour(encoded: Any) -> Any:
            pixels = tf.io.decode_image(encoded, channels=3, expand_animations=False)
            return tf.reduce_mean(tf.cast(pixels, tf.float32) / 255.0, axis=(0, 1))

        colours = tf.map_fn(mean_colour, image_bytes, fn_output_signature=tf.TensorSpec([3], tf.float32))
        probabilities = tf.nn.softmax(colours @ self.weight)
        class_id = tf.argmax(probabilities, axis=1, output_type=tf.int64)
        return {
            "probabilities": probabilities,
            "class_id": class_id,
            "class_name": tf.gather(self.names, class_id),
        }


class Several(tf.Module):
    """Signatures of other forms: several inputs, outputs of many types, outputs without a common batch."""

    @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, "x"), tf.TensorSpec([None], tf.int64, "n")])
    def add(self, x: Any, n: Any) -> dict[str, Any]:
        return {"total": tf.reduce_sum(x, axis=1) + tf.cast(n, tf.float32), "n": n}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])
    def half(self, x: Any) -> dict[str, Any]:
        return {"y": x / 2}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "text")])
    def echo(self, text: Any) -> dict[str, Any]:
        return {"text": text, "raw_bytes": text}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])
    def scalar(self, x: Any) -> dict[str, Any]:
        return {"mean": tf.reduce_mean(x)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])
    def ragged(self, x: Any) -> dict[str, Any]:
        return {"all": x, "first": x[:1]}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.half, "x")])
    def halves(self, x: Any) -> dict[str, Any]:
        return {"y": x}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "text")])
    def length(self, text: Any) -> dict[str, Any]:
        return {"length": tf.strings.length(text)}


def save_classifier(base: Path, version: int) -> Path:
    """Publish a version as promotion does: written under another name, then renamed."""
    module = Classifier(version)
    return _publish(module, {"serving_default": module.classify}, base, version)


def save_several(base: Path, version: int) -> Path:
    module = Several()
    names = ("add", "half", "echo", "scalar", "ragged", "halves", "length")
    signatures = {name: getattr(module, name) for name in names}
    return _publish(module, signatures | {"serving_default": module.half}, base, version)


def _publish(module: tf.Module, signatures: dict[str, Any], base: Path, version: int) -> Path:
    temporary = base / f".tmp-{version}"
    tf.saved_model.save(module, str(temporary), signatures=signatures)
    return temporary.rename(base / str(version))


def make_image(seed: int, size: int = 16) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)
    return bytes(tf.io.encode_png(pixels).numpy())


@dataclass
class ServerProcess:
    """A server as a process of its own."""

    process: subprocess.Popen[bytes]
    grpc_port: int
    rest_port: int
    name: str
    log_path: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.rest_port}/v1/models/{self.name}"

    @property
    def log(self) -> str:
        return self.log_path.read_text()

    def wait_for_port(self) -> None:
        wait_until(self._answers, self)

    def wait_for(self, version: int, state: str = "AVAILABLE") -> None:
        wait_until(lambda: self.state_of(version) == state, self)

    def state_of(self, version: int) -> str | None:
        answer = requests.get(self.url, timeout=5).json()
        states = {int(entry["version"]): entry["state"] for entry in answer.get("model_version_status", [])}
        return states.get(version)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(15)

    def _answers(self) -> bool:
        try:
            requests.get(self.url, timeout=5)
        except requests.ConnectionError:
            return False
        return True


def wait_until(condition: Callable[[], bool], server: ServerProcess, seconds: float = START_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if server.process.poll() is not None:
            raise AssertionError(f"the server ended with {server.process.returncode}:\n{server.log}")
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s:\n{server.log}")
        time.sleep(0.05)


@dataclass
class Launcher:
    """Starts servers and ends those that a test left."""

    folder: Path
    started: list[ServerProcess] = field(default_factory=list)

    def server(self, base: Path, *flags: str, name: str = "m") -> ServerProcess:
        ports = free_ports(2)
        command = ["serving.server", f"--model_name={name}", f"--model_base_path={base}"]
        command += [f"--port={ports[0]}", f"--rest_api_port={ports[1]}", "--file_system_poll_wait_seconds=0.1", *flags]
        return self.module(command, *ports, name)

    def module(
        self, command: list[str], grpc_port: int, rest_port: int, name: str, **environment: str
    ) -> ServerProcess:
        log_path = self.folder / f"server-{len(self.started)}.log"
        with log_path.open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *command], stdout=log, stderr=log, env={**os.environ, **environment}
            )
        self.started.append(ServerProcess(process, grpc_port, rest_port, name, log_path))
        return self.started[-1]

    def end(self) -> None:
        for server in self.started:
            if server.process.poll() is None:
                server.process.kill()
            server.process.wait()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests of this folder ask servers."""
    folder = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(folder):
            item.add_marker(pytest.mark.server)


@pytest.fixture
def launcher(tmp_path: Path) -> Iterator[Launcher]:
    launcher = Launcher(tmp_path)
    yield launcher
    launcher.end()


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``classifier`` with version 7 and ``several`` with version 3, below one folder."""
    folder = tmp_path_factory.mktemp("models")
    for name, save, version in (("classifier", save_classifier, 7), ("several", save_several, 3)):
        (folder / name).mkdir()
        save(folder / name, version)
    return folder


@pytest.fixture
def image() -> Callable[..., bytes]:
    return make_image


@pytest.fixture
def classifier() -> Callable[[Path, int], Path]:
    return save_classifier


@pytest.fixture
def several() -> Callable[[Path, int], Path]:
    return save_several


@pytest.fixture
def port() -> Callable[[], int]:
    return lambda: free_ports(1)[0]


@dataclass(frozen=True)
class LocalServer:
    """Where a server inside the test process listens."""

    host: str
    grpc_port: int
    rest_port: int
    name: str

    @property
    def root(self) -> str:
        return f"http://{self.host}:{self.rest_port}"

    @property
    def url(self) -> str:
        return f"{self.root}/v1/models/{self.name}"


def _run_local(models: Path, name: str) -> Iterator[LocalServer]:
    from serving.server.options import ServerOptions
    from serving.server.process import ModelServer

    grpc_port, rest_port = free_ports(2)
    options = ServerOptions(name, models / name, grpc_port=grpc_port, rest_port=rest_port, poll_seconds=0.05)
    server = ModelServer(options)
    server.start()
    deadline = time.monotonic() + START_SECONDS
    while not server.is_ready and time.monotonic() < deadline:
        time.sleep(0.02)
    server.open()
    yield LocalServer(options.host, options.grpc_port, options.rest_port, name)
    assert server.close()


@pytest.fixture(scope="session")
def classifier_server(models: Path) -> Iterator[LocalServer]:
    yield from _run_local(models, "classifier")


@pytest.fixture(scope="session")
def several_server(models: Path) -> Iterator[LocalServer]:
    yield from _run_local(models, "several")
