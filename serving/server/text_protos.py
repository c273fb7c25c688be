"""Text protos of messages that tensorflow-serving-api has no Python classes for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from google.protobuf import (  # type: ignore[import-untyped]
    descriptor_pb2,
    descriptor_pool,
    message_factory,
    text_format,
    wrappers_pb2,
)

from ml.errors import ServingError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = [
    "BOOL",
    "BOOL_VALUE",
    "INT64_LIST",
    "INT64_VALUE",
    "STRING",
    "STRING_VALUE",
    "declare",
    "field_of",
    "read_text_proto",
]

_FIELD = descriptor_pb2.FieldDescriptorProto
_WRAPPERS = wrappers_pb2.DESCRIPTOR
#: Type, label and message of a field.
BOOL = (_FIELD.TYPE_BOOL, _FIELD.LABEL_OPTIONAL, None)
STRING = (_FIELD.TYPE_STRING, _FIELD.LABEL_OPTIONAL, None)
INT64_LIST = (_FIELD.TYPE_INT64, _FIELD.LABEL_REPEATED, None)
INT64_VALUE = (_FIELD.TYPE_MESSAGE, _FIELD.LABEL_OPTIONAL, ".google.protobuf.Int64Value")
BOOL_VALUE = (_FIELD.TYPE_MESSAGE, _FIELD.LABEL_OPTIONAL, ".google.protobuf.BoolValue")
STRING_VALUE = (_FIELD.TYPE_MESSAGE, _FIELD.LABEL_OPTIONAL, ".google.protobuf.StringValue")


def field_of(message: str) -> tuple[Any, Any, str]:
    """The type of a field that holds another message of the same declaration."""
    return _FIELD.TYPE_MESSAGE, _FIELD.LABEL_OPTIONAL, f".{message}"


def declare(messages: Mapping[str, Mapping[str, tuple[Any, Any, str | None]]]) -> dict[str, Any]:
    """Message classes by name, in a pool of their own.

    Args:
        messages: by name, the fields of each by theirs. Numbers are not given: text has no use for them.
    """
    file = descriptor_pb2.FileDescriptorProto(name="text.proto", syntax="proto3", dependency=[_WRAPPERS.name])
    for name, fields in messages.items():
        message = file.message_type.add(name=name)
        for number, (field, (kind, label, type_name)) in enumerate(fields.items(), 1):
            message.field.add(name=field, number=number, type=kind, label=label, type_name=type_name)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(_WRAPPERS.serialized_pb)
    pool.AddSerializedFile(file.SerializeToString())
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(name)) for name in messages}


def read_text_proto(path: Path, message: Any) -> Any:
    """The message that a file holds as text.

    Raises:
        ServingError: the file cannot be read, or is no text proto of that message.
    """
    try:
        return text_format.Parse(path.read_text(encoding="utf-8"), message())
    except (OSError, UnicodeDecodeError) as error:
        raise ServingError(f"{path} cannot be read: {error}.", "Name a file that is there.") from error
    except text_format.ParseError as error:
        known = ", ".join(message.DESCRIPTOR.fields_by_name)
        raise ServingError(
            f"{path} is no text proto of {message.DESCRIPTOR.name}: {error}.", f"It may have the fields {known}."
        ) from error
