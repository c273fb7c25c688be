"""The server as a process: swaps under load, broken versions, ports, signals."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
import requests

from ml.errors import ServingError
from ml.storage.folder import FolderStore
from promoted import record_promotion
from serving.client import GrpcClient, RestClient

pytestmark = pytest.mark.slow


class Caller(threading.Thread):
    """Predicts until told to stop and keeps what it was answered."""

    def __init__(self, client, image):
        super().__init__(daemon=True)
        self.client, self.image = client, image
        self.stop = threading.Event()
        self.answers, self.errors = [], []

    def run(self):
        with self.client as client:
            while not self.stop.is_set():
                try:
                    self.answers.append(client.predict([self.image])[0])
                except ServingError as error:
                    self.errors.append(error)


def end(callers):
    for caller in callers:
        caller.stop.set()
    for caller in callers:
        caller.join(20)


def publish(store, folder, name, version, spoil=None):
    """Upload a SavedModel as promotion does, the sums last; ``spoil`` is a file to send other bytes for."""
    from ml.publication import checksums

    prefix = f"models/{name}/{version}/"
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        relative = path.relative_to(folder).as_posix()
        store.put(prefix + relative, b"other" if relative == spoil else path.read_bytes())
    store.put(f"{prefix}SHA256SUMS", checksums(folder).encode())


def test_the_server_from_first_version_to_signal(launcher, classifier, image, tmp_path):
    """One process through its life, since each start costs the import of TensorFlow."""
    base = tmp_path / "models"
    server = launcher.server(base, "--no-wait_for_model", "--max_num_load_retries=0")
    server.wait_for_port()
    assert requests.post(f"{server.url}:predict", data=b"{}", timeout=20).status_code == 404

    base.mkdir()
    classifier(base, 1)
    server.wait_for(1)
    picture = image(1)
    callers = [
        Caller(GrpcClient("127.0.0.1", server.grpc_port, "m"), picture),
        Caller(RestClient("127.0.0.1", server.rest_port, "m"), picture),
    ]
    for caller in callers:
        caller.start()
    time.sleep(0.5)

    # A newer version, and the old one goes only then.
    classifier(base, 2)
    server.wait_for(2)
    server.wait_for(1, "END")
    time.sleep(0.5)

    # Half a copy: the folder has a number, the variables are not there yet.
    half = tmp_path / "half"
    shutil.copytree(base / "2", half)
    shutil.rmtree(half / "variables")
    half.rename(base / "3")
    server.wait_for(3, "END")
    states = {entry["version"]: entry for entry in requests.get(server.url, timeout=5).json()["model_version_status"]}
    assert list(states) == ["3", "2", "1"]
    assert states["3"]["status"]["error_code"] == "NOT_FOUND"
    assert "variables" in states["3"]["status"]["error_message"]

    # An upload in progress has a name that is no number, and does not exist for the server.
    shutil.copytree(base / "2", base / "4.partial")
    time.sleep(0.5)
    end(callers)

    assert [caller.errors for caller in callers] == [[], []]
    over_grpc, over_rest = callers
    assert {answer.version for answer in over_grpc.answers} == {1, 2}
    assert [answer.version for answer in over_grpc.answers] == sorted(answer.version for answer in over_grpc.answers)
    assert {answer.probabilities for answer in over_grpc.answers[-1:]} != {over_grpc.answers[0].probabilities}
    assert over_rest.answers[0].probabilities != over_rest.answers[-1].probabilities
    assert server.state_of(2) == "AVAILABLE"

    started = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - started < 5
    assert server.log.count(": loaded version") == 2
    assert "version 3 of m cannot be loaded, attempt 1, not tried again" in server.log
    assert "Traceback" not in server.log


def test_ports_stay_closed_until_a_version_serves_and_a_broken_first_one_ends_the_server(launcher, tmp_path):
    base = tmp_path / "models"
    (base / "1.partial").mkdir(parents=True)
    server = launcher.server(base, "--max_num_load_retries=0")
    deadline = time.monotonic() + 60
    while "starting" not in server.log and time.monotonic() < deadline:
        time.sleep(0.05)
    with pytest.raises(requests.ConnectionError):
        requests.get(server.url, timeout=1)

    (base / "1").mkdir()

    assert server.process.wait(60) == 1
    assert "1 servable(s) did not become available" in server.log


@pytest.mark.parametrize("taken", ["port", "rest_api_port"])
def test_a_port_in_use_ends_the_server_with_the_port_and_the_remedy(taken, tmp_path, port):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        number = holder.getsockname()[1]
        ports = {"port": port(), "rest_api_port": port()} | {taken: number}
        command = [sys.executable, "-m", "serving.server", f"--model_base_path={tmp_path}"]
        command += [f"--{name}={value}" for name, value in ports.items()]

        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 1
    assert f"Port {number} on 127.0.0.1 cannot be used" in done.stderr
    assert "Stop the process that has it, or choose another" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_local_stack_serves_what_is_published_and_never_what_is_spoilt(launcher, classifier, image, port, tmp_path):
    store = FolderStore(tmp_path / "store")
    source = tmp_path / "source"
    source.mkdir()
    ports = port(), port()
    server = launcher.module(
        ["serving.local"],
        *ports,
        "demo",
        QUARTET__MODEL_NAME="demo",
        QUARTET__STORE__URL=str(tmp_path / "store"),
        QUARTET__SERVING__MODEL_DIR=str(tmp_path / "served"),
        QUARTET__SERVING__GRPC_PORT=str(ports[0]),
        QUARTET__SERVING__REST_PORT=str(ports[1]),
    )
    publish(store, classifier(source, 1), "demo", 1)
    publish(store, classifier(source, 2), "demo", 2, spoil="saved_model.pb")
    server.wait_for_port()
    for version in (1, 2):
        record_promotion(store, "demo", f"run-{version}", "vgg16", version)
    server.wait_for(1)

    assert "version 2 of demo is not taken" in server.log
    assert server.state_of(2) is None
    with RestClient("127.0.0.1", ports[1], "demo") as client:
        assert len(client.predict([image(1)])) == 1

    server.process.send_signal(signal.SIGINT)
    assert server.process.wait(15) == 0
