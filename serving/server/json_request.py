"""Predict requests in TensorFlow Serving's JSON, row (``instances``) and columnar (``inputs``)."""

from __future__ import annotations

import base64
import binascii
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from serving.server.status import Code, StatusError
from serving.server.tensors import type_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from tensorflow.core.protobuf import meta_graph_pb2

__all__ = [
    "PredictBody",
    "decode_base64",
    "encode_text",
    "fill_tensors",
    "is_base64",
    "parse_body",
    "quote",
    "read_form",
    "read_signature",
]

#: Offending JSON is quoted in errors up to this many bytes.
QUOTED_BYTES = 256
FLOATS: dict[str, type[np.generic]] = {"float": np.float32, "double": np.float64}
#: Range of the JSON integer that is taken, which for the narrow types is wider than their own, and the type it becomes.
INTEGERS: dict[str, tuple[int, int, type[np.generic]]] = {
    "int8": (-(2**31), 2**31 - 1, np.int8),
    "int16": (-(2**31), 2**31 - 1, np.int16),
    "int32": (-(2**31), 2**31 - 1, np.int32),
    "uint8": (-(2**31), 2**31 - 1, np.uint8),
    "int64": (-(2**63), 2**63 - 1, np.int64),
    "uint32": (0, 2**32 - 1, np.uint32),
    "uint64": (0, 2**64 - 1, np.uint64),
}


@dataclass(frozen=True)
class PredictBody:
    """The tensors of a request as JSON values; ``row`` tells ``instances`` from ``inputs``."""

    row: bool
    values: Any


def parse_body(data: bytes) -> dict[str, Any]:
    """The top-level object. Bytes after the first complete value are ignored.

    Raises:
        StatusError: INVALID_ARGUMENT when the body is empty, no JSON, or no object.
    """
    try:
        text = data.decode("utf-8").lstrip(" \t\r\n")
        if not text:
            raise _bad("JSON Parse error: The document is empty")
        document, _ = json.JSONDecoder().raw_decode(text)
    except RecursionError as error:
        raise _bad("JSON Parse error: The document is nested too deep") from error
    except ValueError as error:
        raise _bad(f"JSON Parse error: {error}") from error
    if not isinstance(document, dict):
        raise _bad(f"Request must be an object, not {quote(document)}")
    return document


def read_signature(document: Mapping[str, Any]) -> str:
    """The signature's name, ``serving_default`` when none is given.

    Raises:
        StatusError: INVALID_ARGUMENT when it is no string.
    """
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise _bad(f"JSON Value: {quote(name)} is wrong: 'signature_name' must be a string")
    return name or "serving_default"


def read_form(document: Mapping[str, Any]) -> PredictBody:
    """Tell the row form from the columnar one.

    Raises:
        StatusError: INVALID_ARGUMENT when there is neither, or both.
    """
    forms = [key for key in ("instances", "inputs") if key in document]
    if len(forms) != 1:
        raise _bad(f"Request must have exactly one of 'instances' and 'inputs', not {len(forms)} of them")
    return PredictBody(forms == ["instances"], document[forms[0]])


def fill_tensors(body: PredictBody, inputs: Mapping[str, meta_graph_pb2.TensorInfo]) -> dict[str, NDArray[Any]]:
    """Arrays of the signature's dtypes by input name; strings are object arrays of bytes.

    Raises:
        StatusError: INVALID_ARGUMENT for names, shapes or values that do not fit; UNIMPLEMENTED for an input of a dtype
            that JSON has no form for.
    """
    columns = _from_rows(body.values, list(inputs)) if body.row else _from_columns(body.values, list(inputs))
    return {name: _array(values, type_name(inputs[name].dtype)) for name, values in columns.items()}


def _from_rows(instances: Any, names: list[str]) -> dict[str, list[Any]]:
    if not isinstance(instances, list) or not instances:
        raise _bad("'instances' must be a list with at least one element")
    named = [isinstance(item, dict) and not is_base64(item) for item in instances]
    if any(named) != all(named):
        raise _bad("'instances' must be all objects of named inputs, or all plain values")
    if not any(named):
        return {_only(names, "each of 'instances'"): instances}
    for item in instances:
        if set(item) != set(names):
            raise _bad(f"An instance names the inputs {sorted(item)}, the signature has {sorted(names)}")
    return {name: [item[name] for item in instances] for name in names}


def _from_columns(inputs: Any, names: list[str]) -> dict[str, Any]:
    if not isinstance(inputs, dict) or is_base64(inputs):
        return {_only(names, "'inputs'"): inputs}
    missing = sorted(set(names) - set(inputs))
    if missing:
        raise _bad(f"'inputs' lacks the named input: {missing[0]}")
    return {name: inputs[name] for name in names}


def _only(names: list[str], what: str) -> str:
    if len(names) != 1:
        raise _bad(f"The signature has {len(names)} inputs, so {what} must be an object with {sorted(names)}")
    return names[0]


def _array(values: Any, dtype: str) -> NDArray[Any]:
    if dtype not in FLOATS and dtype not in INTEGERS and dtype not in {"bool", "string"}:
        raise StatusError(Code.UNIMPLEMENTED, f"There is no JSON form of the type {dtype}")
    shape = _shape(values)
    flat: list[Any] = []
    _flatten(values, shape, 0, dtype, flat)
    return _typed(flat, dtype).reshape(shape)


def _shape(value: Any) -> tuple[int, ...]:
    """The shape as the first element of every level has it."""
    shape = []
    while isinstance(value, list):
        shape.append(len(value))
        value = value[0] if value else None
    return tuple(shape)


def _flatten(value: Any, shape: tuple[int, ...], level: int, dtype: str, into: list[Any]) -> None:
    if not isinstance(value, list):
        if level != len(shape):
            raise _bad(f"JSON Value: {quote(value)} found at level {level}, expected at level {len(shape)}")
        into.append(_scalar(value, dtype))
        return
    if level >= len(shape):
        raise _bad(f"Encountered list at unexpected level: {level}, expected < {len(shape)}")
    if len(value) != shape[level]:
        raise _bad(f"Encountered list of size {len(value)} at level: {level}, expected size: {shape[level]}")
    for item in value:
        _flatten(item, shape, level + 1, dtype, into)


def _scalar(value: Any, dtype: str) -> Any:
    if dtype == "string":
        if is_base64(value):
            return decode_base64(value["b64"])
        if isinstance(value, str):
            return encode_text(value)
    elif dtype == "bool":
        if isinstance(value, bool):
            return value
    elif not isinstance(value, bool):
        if dtype in FLOATS and isinstance(value, int | float):
            return _to_float(value)
        if dtype in INTEGERS and isinstance(value, int) and INTEGERS[dtype][0] <= value <= INTEGERS[dtype][1]:
            return value
    raise _bad(f"JSON Value: {quote(value)} not of expected type: {dtype}")


def _typed(flat: list[Any], dtype: str) -> NDArray[Any]:
    if dtype == "string":
        array = np.empty(len(flat), dtype=object)
        array[:] = flat
        return array
    if dtype == "bool":
        return np.array(flat, dtype=np.bool_)
    if dtype in INTEGERS:
        # By way of a wide type, so that what the narrow one cannot hold wraps as in C++.
        wide = np.uint64 if dtype == "uint64" else np.int64
        return np.array(flat, dtype=wide).astype(INTEGERS[dtype][2])
    with np.errstate(over="ignore"):
        return np.array(flat, dtype=np.float64).astype(FLOATS[dtype])


def _to_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def encode_text(text: str) -> bytes:
    """A JSON string as UTF-8.

    Raises:
        StatusError: INVALID_ARGUMENT when it holds half a surrogate pair.
    """
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise _bad(f"JSON Parse error: the string {quote(text)} has half a surrogate pair") from error


def decode_base64(text: str) -> bytes:
    """The bytes of base64, with its padding or without.

    Raises:
        StatusError: INVALID_ARGUMENT when it is none.
    """
    compact = "".join(text.split())
    padding = "" if "=" in compact else "=" * (-len(compact) % 4)
    try:
        return base64.b64decode(compact + padding, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _bad(f"Unable to base64 decode {quote(text)}") from error


def is_base64(value: Any) -> bool:
    """Whether a JSON value is ``{"b64": "..."}``."""
    return isinstance(value, dict) and list(value) == ["b64"] and isinstance(value["b64"], str)


def quote(value: Any) -> str:
    """Offending JSON for an error, cut short."""
    return json.dumps(value)[:QUOTED_BYTES]


def _bad(message: str) -> StatusError:
    return StatusError(Code.INVALID_ARGUMENT, message)
