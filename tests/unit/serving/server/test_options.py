import socket

import pytest

from ml.config import ServingSettings, Settings
from ml.errors import ServingError
from serving.local import server_options
from serving.server.__main__ import parse_options
from serving.server.options import ServerOptions, require_free_ports
from serving.server.versions import RetryRule


def test_flags_have_the_servers_own_names_and_defaults(tmp_path):
    assert parse_options([f"--model_base_path={tmp_path}"]) == ServerOptions(
        "default", tmp_path, "127.0.0.1", 8500, 0, 1.0, 30.0, True, RetryRule(5, 60.0)
    )


def test_flags_are_read(tmp_path):
    flags = "--model_name m --port 1 --rest_api_port=2 --host 0.0.0.0 --file_system_poll_wait_seconds 3"
    flags += " --rest_api_timeout_in_ms 4000 --max_num_load_retries 5 --load_retry_interval_micros 6000000"

    options = parse_options([*flags.split(), f"--model_base_path={tmp_path}", "--no-wait_for_model"])

    assert options == ServerOptions("m", tmp_path, "0.0.0.0", 1, 2, 3.0, 4.0, False, RetryRule(5, 6.0))


@pytest.mark.parametrize("flags", ["", "--model_base_path=x --enable_batching", "--model_base_path=x --port=x"])
def test_flags_that_are_missing_unknown_or_wrong_end_the_process(flags):
    with pytest.raises(SystemExit, match="2"):
        parse_options(flags.split())


def test_the_local_stack_serves_what_the_settings_name(tmp_path):
    serving = ServingSettings(model_dir=tmp_path, host="0.0.0.0", grpc_port=1, rest_port=2, timeout_seconds=3)

    assert server_options(Settings(model_name="demo", serving=serving)) == ServerOptions(
        "demo", tmp_path / "demo", "0.0.0.0", 1, 2, 1.0, 3.0, False, RetryRule(retries=0)
    )


def test_one_port_cannot_serve_both_protocols(tmp_path):
    with pytest.raises(ServingError, match="both on port 8500"):
        require_free_ports(ServerOptions("m", tmp_path, grpc_port=8500, rest_port=8500))


@pytest.mark.parametrize("which", ["grpc_port", "rest_port"])
def test_a_port_in_use_is_named(tmp_path, which):
    with socket.socket() as holder, socket.socket() as other:
        for taken in (holder, other):
            taken.bind(("127.0.0.1", 0))
        holder.listen()
        number, free = holder.getsockname()[1], other.getsockname()[1]
        other.close()
        ports = {"grpc_port": free, "rest_port": free} | {which: number}

        with pytest.raises(ServingError, match=rf"Port {number} on 127\.0\.0\.1 .*Remedy: .*--rest_api_port"):
            require_free_ports(ServerOptions("m", tmp_path, **ports))
