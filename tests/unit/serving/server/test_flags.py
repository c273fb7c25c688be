import pytest

from serving.server.flags import IGNORED_FLAGS, parse_options
from serving.server.options import ServerOptions
from serving.server.versions import RetryRule


def test_flags_have_the_servers_own_names_and_defaults(tmp_path):
    assert parse_options([f"--model_base_path={tmp_path}"]) == ServerOptions(
        "default", tmp_path, "127.0.0.1", 8500, 0, 1.0, 30.0, True, RetryRule(5, 60.0)
    )


def test_flags_of_one_model_are_read(tmp_path):
    flags = "--model_name m --port 1 --rest_api_port=2 --host 0.0.0.0 --file_system_poll_wait_seconds 3"
    flags += " --rest_api_timeout_in_ms 4000 --max_num_load_retries 5 --load_retry_interval_micros 6000000"

    options = parse_options([*flags.split(), f"--model_base_path={tmp_path}", "--no-wait_for_model"])

    assert options == ServerOptions("m", tmp_path, "0.0.0.0", 1, 2, 3.0, 4.0, False, RetryRule(5, 6.0))


def test_flags_of_a_model_config_file_are_read(tmp_path):
    flags = f"--model_config_file={tmp_path} --model_config_file_poll_wait_seconds=1 --num_load_threads=2"

    options = parse_options([*flags.split(), "--allow_version_labels_for_unavailable_models=true"])

    assert options == ServerOptions(
        model_config_file=tmp_path,
        model_config_poll_seconds=1.0,
        load_threads=2,
        allow_version_labels_for_unavailable_models=True,
    )


def test_flags_of_the_network_are_read(tmp_path):
    flags = f"--model_base_path={tmp_path} --port=0 --grpc_socket_path={tmp_path}/s --grpc_max_threads=3"
    flags += " --rest_api_num_threads=4 --rest_api_enable_cors_support --enable_grpc_healthcheck_service=true"
    flags += " --grpc_channel_arguments=grpc.max_connection_age_ms=2000,grpc.name=a=b"

    assert parse_options(flags.split()) == ServerOptions(
        model_base_path=tmp_path,
        grpc_port=0,
        grpc_socket_path=tmp_path / "s",
        grpc_threads=3,
        rest_threads=4,
        enable_cors=True,
        enable_health_service=True,
        grpc_channel_arguments=(("grpc.max_connection_age_ms", 2000), ("grpc.name", "a=b")),
    )


def test_flags_of_batching_monitoring_and_warm_up_are_read(tmp_path):
    flags = f"--model_base_path={tmp_path} --enable_batching --batching_parameters_file={tmp_path}/b"
    flags += f" --enable_per_model_batching_parameters=TRUE --monitoring_config_file={tmp_path}/m"
    flags += " --enable_model_warmup=false --num_request_iterations_for_warmup=3 --saved_model_tags=serve,gpu"
    flags += " --enable_serialization_as_tensor_content"

    assert parse_options(flags.split()) == ServerOptions(
        model_base_path=tmp_path,
        enable_batching=True,
        batching_parameters_file=tmp_path / "b",
        enable_per_model_batching_parameters=True,
        monitoring_config_file=tmp_path / "m",
        enable_model_warmup=False,
        num_request_iterations_for_warmup=3,
        saved_model_tags=("serve", "gpu"),
        serialize_as_tensor_content=True,
    )


@pytest.mark.parametrize(
    ("flags", "threads"),
    [
        ("--tensorflow_session_parallelism=2", (2, 2)),
        ("--tensorflow_intra_op_parallelism=3", (3, 0)),
        ("--tensorflow_inter_op_parallelism=3 --tensorflow_session_parallelism=2", (0, 3)),
    ],
    ids=["both by one", "one", "the finer ones win"],
)
def test_flags_of_threads_are_read(flags, threads):
    options = parse_options(["--model_base_path=/m", *flags.split()])

    assert (options.intra_op_threads, options.inter_op_threads) == threads


def test_an_empty_file_name_is_none():
    assert parse_options(["--model_base_path=/m", "--model_config_file=", "--batching_parameters_file="]) == (
        parse_options(["--model_base_path=/m"])
    )


@pytest.mark.parametrize("name", IGNORED_FLAGS)
def test_a_flag_that_means_nothing_here_is_taken_and_noted(name):
    assert parse_options(["--model_base_path=/m", f"--{name}=1"]).ignored_flags == (f"--{name}",)


@pytest.mark.parametrize(
    ("flag", "text"),
    [
        ("--port=x", "--port: 'x' is no whole number"),
        ("--enable_batching=1", "'1' is neither true nor false"),
        ("--model_base_path=s3://bucket/m", "File system scheme 's3' not implemented"),
        ("--grpc_channel_arguments=a", "'a' is not of the form key=value"),
        ("--ssl_config_file=x", "does not encrypt"),
        ("--use_alts_credentials", "does not encrypt"),
        (
            " ".join(f"--tensorflow_{name}_parallelism=1" for name in ("session", "intra_op", "inter_op")),
            "not all three",
        ),
    ],
)
def test_a_flag_that_is_wrong_ends_the_process_with_the_reason(flag, text, capsys):
    with pytest.raises(SystemExit, match="2"):
        parse_options(["--model_base_path=/m", *flag.split()])

    assert text in capsys.readouterr().err


def test_an_unknown_flag_ends_the_process_with_the_known_ones(capsys):
    with pytest.raises(SystemExit, match="2"):
        parse_options(["--model_base_path=/m", "--modle_name=x"])

    error = capsys.readouterr().err
    assert "unrecognized arguments: --modle_name=x" in error
    assert {"--model_name", "--model_config_file", *(f"--{name}" for name in IGNORED_FLAGS)} <= set(error.split())
