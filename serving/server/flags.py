"""The command line: tensorflow_model_server's flags, those that mean nothing here included."""

from __future__ import annotations

import argparse
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from serving.server.model_config import local_path
from serving.server.options import ServerOptions
from serving.server.status import StatusError
from serving.server.versions import RetryRule

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["IGNORED_FLAGS", "REFUSED_FLAGS", "parse_options"]

#: They tune a C++ server, or things that this one does not have; without them every answer is the same.
IGNORED_FLAGS = (
    "enable_profiler",
    "enable_signature_method_name_check",
    "flush_filesystem_caches",
    "mixed_precision",
    "num_tflite_interpreters_per_pool",
    "num_tflite_pools",
    "num_unload_threads",
    "per_process_gpu_memory_fraction",
    "platform_config_file",
    "prefer_tflite_model",
    "remove_unused_fields_from_bundle_metagraph",
    "skip_initialize_tpu",
    "tensorflow_session_config_file",
    "thread_pool_factory_config_file",
    "xla_cpu_compilation_enabled",
    "xla_gpu_compilation_enabled",
)
#: A server that ignored these would speak in clear where it was told to encrypt.
REFUSED_FLAGS = ("ssl_config_file", "use_alts_credentials")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        known = " ".join(sorted(flag for flag in self._option_string_actions if flag.startswith("--")))
        self.exit(2, f"{self.prog}: {message}\nKnown flags: {known}\n")


def parse_options(arguments: Sequence[str] | None = None) -> ServerOptions:
    """Read the flags; an unknown one ends the process with the list of known ones."""
    parser = _build_parser()
    flags = parser.parse_args(arguments)
    for name in REFUSED_FLAGS:
        if getattr(flags, name) not in {None, "", "false"}:
            parser.error(f"--{name}: this server does not encrypt; put a proxy that does before it")
    if min(_parallelism(flags)) > 0:
        parser.error("give --tensorflow_session_parallelism, or the intra and inter op parallelism, not all three")
    return _options(flags)


def _build_parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m serving.server", allow_abbrev=False, description=__doc__)
    _add_models(parser)
    _add_network(parser)
    _add_running(parser)
    parser.add_argument("--version", action="version", version=f"TensorFlow Library: {version('tensorflow')}")
    ignored = parser.add_argument_group("taken and ignored")
    for name in IGNORED_FLAGS:
        ignored.add_argument(f"--{name}", nargs="?", const="true")
    refused = parser.add_argument_group("refused")
    for name in REFUSED_FLAGS:
        refused.add_argument(f"--{name}", nargs="?", const="true")
    return parser


def _add_models(parser: argparse.ArgumentParser) -> None:
    models = parser.add_argument_group("models")
    models.add_argument("--model_name", default="default")
    models.add_argument("--model_base_path", type=_base_path, help="holds a folder for each version")
    models.add_argument("--model_config_file", type=_file, help="a ModelServerConfig; the two above are ignored then")
    models.add_argument("--model_config_file_poll_wait_seconds", type=float, default=0.0, help="0 reads it once")
    _add_switch(models, "allow_version_labels_for_unavailable_models", "if the label is new")
    models.add_argument("--file_system_poll_wait_seconds", type=float, default=1.0)
    models.add_argument("--max_num_load_retries", type=int, default=5)
    models.add_argument("--load_retry_interval_micros", type=int, default=60_000_000)
    models.add_argument("--num_load_threads", type=_count, default=0, help="models that load at a time")
    models.add_argument("--saved_model_tags", type=_names, default=("serve",))
    _add_switch(models, "enable_model_warmup", "run a version's warm-up requests before it serves", default=True)
    models.add_argument("--num_request_iterations_for_warmup", type=int, default=1)


def _add_network(parser: argparse.ArgumentParser) -> None:
    network = parser.add_argument_group("network")
    network.add_argument("--host", default="127.0.0.1", help="not in TensorFlow Serving, which takes every interface")
    network.add_argument("--port", type=_count, default=8500, help="for gRPC; 0 leaves TCP off")
    network.add_argument("--grpc_socket_path", type=_file, help="a Unix socket for gRPC")
    network.add_argument("--grpc_max_threads", type=_count, default=0)
    network.add_argument("--grpc_channel_arguments", type=_channel_arguments, default=(), help="key=value,...")
    network.add_argument("--rest_api_port", type=_count, default=0, help="0 leaves REST off")
    network.add_argument("--rest_api_num_threads", type=_count, default=0)
    network.add_argument("--rest_api_timeout_in_ms", type=int, default=30_000)
    _add_switch(network, "rest_api_enable_cors_support", "send CORS headers")
    _add_switch(network, "enable_grpc_healthcheck_service", "the standard gRPC health service")
    network.add_argument(
        "--wait_for_model",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="keep the ports closed until every model has a version, as TensorFlow Serving does",
    )


def _add_running(parser: argparse.ArgumentParser) -> None:
    running = parser.add_argument_group("running")
    _add_switch(running, "enable_batching", "join requests into batches")
    running.add_argument("--batching_parameters_file", type=_file)
    _add_switch(running, "enable_per_model_batching_parameters", "from batching_params.pbtxt of each version")
    running.add_argument("--monitoring_config_file", type=_file)
    _add_switch(running, "enable_serialization_as_tensor_content", "in the answers to Predict")
    for name in ("session", "intra_op", "inter_op"):
        running.add_argument(f"--tensorflow_{name}_parallelism", type=_count, default=0, help="threads; 0 chooses")


def _parallelism(flags: argparse.Namespace) -> tuple[int, int, int]:
    return (
        flags.tensorflow_intra_op_parallelism,
        flags.tensorflow_inter_op_parallelism,
        flags.tensorflow_session_parallelism,
    )


def _options(flags: argparse.Namespace) -> ServerOptions:
    intra, inter, both = _parallelism(flags)
    return ServerOptions(
        model_name=flags.model_name,
        model_base_path=flags.model_base_path,
        host=flags.host,
        grpc_port=flags.port,
        rest_port=flags.rest_api_port,
        poll_seconds=flags.file_system_poll_wait_seconds,
        rest_timeout_seconds=flags.rest_api_timeout_in_ms / 1000,
        wait_for_model=flags.wait_for_model,
        retry=RetryRule(flags.max_num_load_retries, flags.load_retry_interval_micros / 1e6),
        model_config_file=flags.model_config_file,
        model_config_poll_seconds=flags.model_config_file_poll_wait_seconds,
        allow_version_labels_for_unavailable_models=flags.allow_version_labels_for_unavailable_models,
        grpc_socket_path=flags.grpc_socket_path,
        load_threads=flags.num_load_threads,
        grpc_threads=flags.grpc_max_threads,
        grpc_channel_arguments=flags.grpc_channel_arguments,
        rest_threads=flags.rest_api_num_threads,
        enable_cors=flags.rest_api_enable_cors_support,
        enable_health_service=flags.enable_grpc_healthcheck_service,
        monitoring_config_file=flags.monitoring_config_file,
        enable_batching=flags.enable_batching,
        batching_parameters_file=flags.batching_parameters_file,
        enable_per_model_batching_parameters=flags.enable_per_model_batching_parameters,
        enable_model_warmup=flags.enable_model_warmup,
        num_request_iterations_for_warmup=max(1, flags.num_request_iterations_for_warmup),
        saved_model_tags=flags.saved_model_tags,
        serialize_as_tensor_content=flags.enable_serialization_as_tensor_content,
        intra_op_threads=intra if intra or inter else both,
        inter_op_threads=inter if intra or inter else both,
        ignored_flags=tuple(f"--{name}" for name in IGNORED_FLAGS if getattr(flags, name) is not None),
    )


def _add_switch(group: Any, name: str, text: str, default: bool = False) -> None:
    group.add_argument(f"--{name}", type=_boolean, nargs="?", const=True, default=default, help=text)


def _boolean(text: str) -> bool:
    if text.lower() not in {"true", "false"}:
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
    return text.lower() == "true"


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 0")
    return int(text)


def _file(text: str) -> Path | None:
    # An empty name is how TensorFlow Serving's flags say "none".
    return Path(text) if text else None


def _base_path(text: str) -> Path | None:
    try:
        return local_path(text) if text else None
    except StatusError as error:
        raise argparse.ArgumentTypeError(error.message) from error


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for name in text.split(",") if name)


def _channel_arguments(text: str) -> tuple[tuple[str, int | str], ...]:
    pairs = [pair.partition("=") for pair in text.split(",") if pair]
    if wrong := [name for name, equals, _ in pairs if not (name and equals)]:
        raise argparse.ArgumentTypeError(f"{wrong[0]!r} is not of the form key=value")
    return tuple((name, _integer(value)) for name, _, value in pairs)


def _integer(text: str) -> int | str:
    try:
        return int(text)
    except ValueError:
        return text
