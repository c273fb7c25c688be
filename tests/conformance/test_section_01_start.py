"""The contract's section 1: flags, ports and the start, mostly of processes of their own."""

from __future__ import annotations

import shutil
import subprocess
import sys

import grpc
import numpy as np
import pytest
import requests

from free_ports import free_ports
from model_configs import config, model, specific
from serving.server.options import ServerOptions


@pytest.mark.parametrize("flags", [(), ("--model_name=m",)], ids=["no flags", "a name without a path"])
def test_neither_a_base_path_nor_a_config_file_fails_the_start(flags):
    done = subprocess.run(
        [sys.executable, "-m", "serving.server", *flags], capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 1
    assert "Nothing is to be served" in done.stderr
    assert "Traceback" not in done.stderr


def test_batching_parameters_without_batching_fail_the_start(tmp_path):
    flags = [f"--model_base_path={tmp_path}", f"--batching_parameters_file={tmp_path}/b"]
    done = subprocess.run(
        [sys.executable, "-m", "serving.server", *flags], capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 1
    assert "batching, which is off" in done.stderr


def test_with_a_config_file_the_name_and_the_base_path_are_ignored(start_server, speak, base, config_path, tmp_path):
    config_path.write_text(config(model(base)))
    speaker = speak(start_server(ServerOptions("other", tmp_path / "nothing", model_config_file=config_path)))

    assert speaker.predict([1.0], "m").ok
    assert speaker.predict([1.0], "other").is_status("NOT_FOUND")


def test_a_model_without_a_name_is_called_default(start_server, speak, base):
    assert speak(start_server(ServerOptions(model_base_path=base))).predict([1.0], "default").ok


@pytest.mark.slow
def test_ports_stay_closed_until_every_model_has_a_version(launcher, tmp_path, publish, speak_rest, config_path):
    """A base path without versions keeps them closed for as long as it takes."""
    publish(tmp_path / "m", 1)
    (tmp_path / "n").mkdir()
    config_path.write_text(config(model(tmp_path / "m"), model(tmp_path / "n", name="n")))
    server = launcher.start(f"--model_config_file={config_path}", "--max_num_load_retries=0")
    server.wait_for_output("loaded version 1 of m")
    assert not server.is_open()

    publish(tmp_path / "n", 2)
    server.wait_for_port()

    speaker = speak_rest(server)
    assert speaker.predict([1.0], "m").ok
    assert speaker.predict([1.0], "n").ok
    assert server.stop() == 0


@pytest.mark.slow
@pytest.mark.parametrize("way", ["a model that does not load", "a broken file", "no file", "a label"])
def test_a_start_that_cannot_succeed_ends_the_process_with_the_reason(launcher, tmp_path, publish, config_path, way):
    publish(tmp_path / "m", 1)
    text, reason = {
        "a model that does not load": (
            config(model(tmp_path / "m"), model(tmp_path / "n", name="n")),
            "UNKNOWN: 1 servable(s) did not become available: {{{name: n version: 4} due to error: NOT_FOUND",
        ),
        "a broken file": ("model_config_list {", "INVALID_ARGUMENT: Invalid protobuf file"),
        "no file": (None, "NOT_FOUND: The model config file"),
        "a label": (config(model(tmp_path / "m", stable=1)), "FAILED_PRECONDITION: Request to assign label"),
    }[way]
    (tmp_path / "n" / "4").mkdir(parents=True)
    if text is not None:
        config_path.write_text(text)

    server = launcher.start(f"--model_config_file={config_path}", "--max_num_load_retries=0")

    assert server.process.wait(60) == 1
    assert reason in server.output
    assert "Traceback" not in server.output


@pytest.mark.slow
def test_the_flags_of_a_deployment_are_taken_and_those_without_meaning_named_once(
    launcher, tmp_path, publish, speak_rest, speak_grpc, config_path
):
    for version in (1, 2):
        publish(tmp_path / "m", version)
    config_path.write_text(config(model(tmp_path / "m", specific(1, 2), stable=1)))
    socket_path = tmp_path / "s"
    server = launcher.start(
        f"--model_config_file={config_path}",
        "--model_config_file_poll_wait_seconds=1",
        "--allow_version_labels_for_unavailable_models=true",
        "--num_load_threads=2",
        "--flush_filesystem_caches=false",
        "--per_process_gpu_memory_fraction=0.5",
        "--tensorflow_session_parallelism=2",
        "--grpc_max_threads=3",
        "--rest_api_num_threads=3",
        "--grpc_channel_arguments=grpc.max_connection_age_ms=20000",
        f"--grpc_socket_path={socket_path}",
        "--enable_model_warmup=true",
    )
    server.wait_for_port()
    # The ports open with the first version of a model, and the highest loads first.
    speak_rest(server).wait_for(1)

    assert server.output.count("mean nothing to this server: --flush_filesystem_caches, --per_process_gpu") == 1
    assert speak_rest(server).predict([2.0], label="stable").value == [2.0]
    assert speak_grpc(server).predict([2.0], label="stable").value == [2.0]
    assert speak_grpc(UnixServer(socket_path)).predict([2.0], label="stable").value == [2.0]
    assert server.stop() == 0


class UnixServer:
    def __init__(self, path):
        self.target = f"unix:{path}"


def test_grpc_may_listen_on_a_socket_alone(base, tmp_path, speak_grpc):
    from serving.server.process import ModelServer

    server = ModelServer(ServerOptions("m", base, grpc_port=0, grpc_socket_path=tmp_path / "s", wait_for_model=False))
    server.start()
    server.open()
    try:
        speaker = speak_grpc(UnixServer(tmp_path / "s"))
        speaker.wait_for(1)
        assert speaker.predict([1.0]).ok
    finally:
        assert server.close()


def test_a_socket_that_cannot_be_had_is_named(base, tmp_path):
    from ml.errors import ServingError
    from serving.server.process import ModelServer

    server = ModelServer(ServerOptions("m", base, grpc_port=0, grpc_socket_path=tmp_path / "none" / "s"))
    with pytest.raises(ServingError, match=r"The socket .*/none/s cannot be used"):
        server.open()
    assert server.close()


def test_rest_is_off_unless_it_has_a_port(base, speak_grpc):
    from serving.server.process import ModelServer

    grpc_port, other = free_ports(2)
    server = ModelServer(ServerOptions("m", base, grpc_port=grpc_port, wait_for_model=False))
    server.start()
    server.open()
    try:
        with grpc.insecure_channel(f"127.0.0.1:{grpc_port}") as channel:
            grpc.channel_ready_future(channel).result(10)
        with pytest.raises(requests.ConnectionError):
            requests.get(f"http://127.0.0.1:{other}/", timeout=2)
    finally:
        assert server.close()


def test_grpc_takes_messages_beyond_pythons_default_limit(serve, speak_grpc, base):
    many = np.ones(2 * 2**20, np.float32)  # 8 MiB, twice the default
    speaker = speak_grpc(serve(config(model(base))))

    answer = speaker.predict(many)

    # The request came through; the answer is over this client's own limit.
    assert answer.status == "RESOURCE_EXHAUSTED"
    assert "Received message larger than max" in answer.text
    assert speaker.predict([1.0]).ok


def test_a_version_that_is_copied_whole_serves_although_its_fingerprint_is_missing(serve, speak, base):
    (base / "1" / "fingerprint.pb").unlink()
    shutil.rmtree(base / "1" / "assets")

    assert speak(serve(config(model(base)))).predict([1.0]).ok
