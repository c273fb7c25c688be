"""``python -m serving.server``: the flags of tensorflow_model_server that this server honours."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from serving.server.launch import launch
from serving.server.options import ServerOptions
from serving.server.versions import RetryRule

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main", "parse_options"]


def parse_options(arguments: Sequence[str] | None = None) -> ServerOptions:
    """Read the flags; an unknown one ends the process with the list of known ones."""
    parser = argparse.ArgumentParser(prog="python -m serving.server", allow_abbrev=False, description=__doc__)
    parser.add_argument("--model_name", default="default")
    parser.add_argument("--model_base_path", type=Path, required=True, help="holds a folder for each version")
    parser.add_argument("--port", type=int, default=8500, help="for gRPC")
    parser.add_argument("--rest_api_port", type=int, default=0, help="0 leaves REST off")
    parser.add_argument("--rest_api_timeout_in_ms", type=int, default=30_000)
    parser.add_argument("--file_system_poll_wait_seconds", type=float, default=1.0)
    parser.add_argument("--max_num_load_retries", type=int, default=5)
    parser.add_argument("--load_retry_interval_micros", type=int, default=60_000_000)
    parser.add_argument("--host", default="127.0.0.1", help="not in TensorFlow Serving, which takes every interface")
    parser.add_argument(
        "--wait_for_model",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="keep the ports closed until a version is available, as TensorFlow Serving does",
    )
    flags = parser.parse_args(arguments)
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
    )


def main() -> int:
    """Run the server."""
    return launch(parse_options())


if __name__ == "__main__":
    raise SystemExit(main())
