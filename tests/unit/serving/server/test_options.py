import socket
from dataclasses import replace
from pathlib import Path

import pytest

from ml.config import ServingSettings, Settings
from ml.errors import ServingError
from serving.local import server_options
from serving.server.options import ServerOptions, check_options, require_free_ports
from serving.server.versions import RetryRule


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"model_base_path": None}, "Nothing is to be served"),
        ({"grpc_port": 0}, "no port and no socket"),
        ({"batching_parameters_file": Path("b")}, "b has parameters for batching, which is off"),
    ],
    ids=["no model", "no port", "batching parameters without batching"],
)
def test_settings_that_contradict_each_other_are_refused(tmp_path, fields, text):
    with pytest.raises(ServingError, match=text):
        check_options(replace(ServerOptions(model_base_path=tmp_path), **fields))


def test_a_model_config_file_is_enough_to_serve(tmp_path):
    check_options(ServerOptions(model_config_file=tmp_path / "models.config"))


def test_the_local_stack_serves_what_the_settings_name(tmp_path):
    serving = ServingSettings(model_dir=tmp_path, host="0.0.0.0", grpc_port=1, rest_port=2, timeout_seconds=3)

    assert server_options(Settings(model_name="demo", serving=serving)) == ServerOptions(
        model_config_file=tmp_path / "models.config",
        model_config_poll_seconds=1.0,
        allow_version_labels_for_unavailable_models=True,
        monitoring_config_file=tmp_path / "monitoring.config",
        host="0.0.0.0",
        grpc_port=1,
        rest_port=2,
        rest_timeout_seconds=3.0,
        wait_for_model=False,
        retry=RetryRule(retries=0),
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
