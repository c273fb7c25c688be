"""The model config file: ``ModelServerConfig`` of TensorFlow Serving, read and checked."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from google.protobuf import text_format  # type: ignore[import-untyped]
from tensorflow_serving.config import model_server_config_pb2

from ml.errors import ServingError
from serving.server.status import Code, StatusError

if TYPE_CHECKING:
    from serving.server.options import ServerOptions

__all__ = [
    "PLATFORM",
    "check_first_config",
    "check_platforms",
    "check_transition",
    "first_config",
    "local_path",
    "read_model_config",
    "read_platform",
    "start_error",
]

PLATFORM = "tensorflow"
TENSORFLOW_TYPE = 1
SCHEME = re.compile(r"([a-zA-Z][0-9a-zA-Z.]*)://(.*)", re.DOTALL)


def read_model_config(path: Path) -> Any:
    """Read a text proto ``ModelServerConfig``.

    Raises:
        StatusError: NOT_FOUND when there is no such file, INVALID_ARGUMENT when it is something else.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise StatusError(Code.NOT_FOUND, f"The model config file {path} cannot be read: {error}") from error
    except UnicodeDecodeError as error:
        raise StatusError(Code.INVALID_ARGUMENT, f"Invalid protobuf file: '{path}': {error}") from error
    try:
        return text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    except text_format.ParseError as error:
        raise StatusError(Code.INVALID_ARGUMENT, f"Invalid protobuf file: '{path}': {error}") from error


def first_config(options: ServerOptions) -> Any:
    """What a server begins with: its model config file, or the one model that its flags name.

    Raises:
        StatusError: the file cannot be read, or there is nothing to serve.
    """
    if options.model_config_file is not None:
        return read_model_config(options.model_config_file)
    if options.model_base_path is None:
        raise StatusError(Code.INVALID_ARGUMENT, "Both --model_base_path and --model_config_file are empty")
    config = model_server_config_pb2.ModelServerConfig()
    path = str(options.model_base_path.absolute())
    config.model_config_list.config.add(name=options.model_name, base_path=path, model_platform=PLATFORM)
    return config


def check_first_config(options: ServerOptions) -> None:
    """Find out about a configuration that no server can begin with, before anything slow is imported.

    Raises:
        ServingError: it cannot be read, or is refused.
    """
    try:
        config = first_config(options)
        if config.WhichOneof("config") is not None:
            check_transition(model_server_config_pb2.ModelServerConfig(), config)
            check_platforms(config)
    except StatusError as error:
        raise start_error(error) from error


def start_error(error: StatusError) -> ServingError:
    """The error for a first configuration that is refused."""
    return ServingError(
        f"{error.code.name}: {error.message}.",
        "Mend --model_config_file, or name one model with --model_name and --model_base_path.",
    )


def check_transition(old: Any, new: Any) -> None:
    """Refuse a configuration that cannot follow another, or that is wrong in itself.

    Args:
        old: the ``ModelServerConfig`` before, unset at first.
        new: one that is set.

    Raises:
        StatusError: FAILED_PRECONDITION for another kind of configuration, INVALID_ARGUMENT for a name that is there
            twice, a base path that is relative, and another platform for a model.
    """
    kinds = (old.WhichOneof("config"), new.WhichOneof("config"))
    if kinds[0] is not None and kinds != ("model_config_list", "model_config_list"):
        raise StatusError(
            Code.FAILED_PRECONDITION,
            "Cannot transition to requested config. It is only legal to transition from one ModelConfigList to "
            "another.",
        )
    if kinds[1] == "custom_model_config":
        raise StatusError(Code.UNIMPLEMENTED, "ModelServer does not yet support custom model config.")
    _check_list(new.model_config_list.config)
    _check_platforms_stay(old.model_config_list.config, new.model_config_list.config)


def check_platforms(config: Any) -> None:
    """Refuse models of other platforms than TensorFlow's.

    Raises:
        StatusError: INVALID_ARGUMENT.
    """
    for model in config.model_config_list.config:
        platform = read_platform(model)
        if platform != PLATFORM:
            raise StatusError(Code.INVALID_ARGUMENT, f"Model {model.name} requests unsupported platform {platform}")


def read_platform(model: Any) -> str:
    """A model's platform, from the field that says so today or the one that did.

    Raises:
        StatusError: INVALID_ARGUMENT for both fields or neither.
    """
    if model.model_type and model.model_platform:
        raise StatusError(
            Code.INVALID_ARGUMENT,
            "Illegal setting both ModelServerConfig::model_type (deprecated) and ModelServerConfig::model_platform.",
        )
    if model.model_type not in {0, TENSORFLOW_TYPE}:
        raise StatusError(
            Code.INVALID_ARGUMENT, f"ModelServerConfig::model_type choice {model.model_type} not supported."
        )
    platform = PLATFORM if model.model_type == TENSORFLOW_TYPE else str(model.model_platform)
    if not platform:
        raise StatusError(
            Code.INVALID_ARGUMENT,
            "Illegal setting neither ModelServerConfig::model_type (deprecated) nor ModelServerConfig::model_platform.",
        )
    return platform


def local_path(base_path: str) -> Path:
    """A base path as a folder of this machine.

    Raises:
        StatusError: UNIMPLEMENTED for an address elsewhere.
    """
    match = SCHEME.fullmatch(base_path)
    if match is None:
        return Path(base_path)
    if match[1].lower() != "file":
        raise StatusError(
            Code.UNIMPLEMENTED,
            f"File system scheme '{match[1]}' not implemented (file: '{base_path}'). Mirror its versions to a folder, "
            "as `python -m serving.sync` does, and serve that.",
        )
    return Path(match[2])


def _check_list(models: Any) -> None:
    names: set[str] = set()
    for model in models:
        if model.name in names:
            raise StatusError(
                Code.INVALID_ARGUMENT, f"Illegal to list model {model.name} multiple times in config list"
            )
        names.add(model.name)
    for model in models:
        if not local_path(model.base_path).is_absolute():
            raise StatusError(
                Code.INVALID_ARGUMENT,
                f"Expected model {model.name} to have an absolute path or URI; got base_path()={model.base_path}",
            )


def _check_platforms_stay(old: Any, new: Any) -> None:
    before = {model.name: read_platform(model) for model in old}
    for model in new:
        if model.name in before and (platform := read_platform(model)) != before[model.name]:
            raise StatusError(
                Code.INVALID_ARGUMENT,
                f"Illegal to change a model's platform. For model {model.name} platform was {before[model.name]} and "
                f"new platform requested is {platform}",
            )
