"""Requests that nobody would send: valid ones changed at random, and random ones."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from google.protobuf.descriptor import FieldDescriptor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from google.protobuf.message import Message

WORDS = [
    "",
    "x",
    "n",
    "several",
    "shared",
    "serving_default",
    "add",
    "classify",
    "regress",
    "kinds",
    "b64",
    "\0",
    "é" * 9,
]
NUMBERS = [0, 1, -1, 2, 3, 7, 9, 127, 255, 2**16, 2**31 - 1, -(2**31)]
JUNK: list[Any] = [
    None,
    True,
    0,
    -1,
    1.5,
    2**70,
    -(2**70),
    "",
    "x",
    "\ud800",
    [],
    {},
    [[]],
    {"b64": "?"},
    {"b64": "AAAA"},
]
#: Deeper than any parser's stack, and longer than any line.
EXTREMES = [b"[" * 100_000, b'{"a":' * 50_000, b"9" * 100_000, b'{"instances":[' + b"1e999," * 10_000, b"\xff\xfe\x00"]
SLICES = 4
MAX_VALUES = 4


def random_message(rng: np.random.Generator, message: Message, depth: int = 6) -> Message:
    """Fill some fields of a message at random."""
    for field in message.DESCRIPTOR.fields:
        if rng.random() < 0.5:
            _fill(rng, message, field, depth)
    return message


def mutated(rng: np.random.Generator, data: bytes) -> bytes:
    """A few bytes changed, removed, doubled or put in."""
    changed = bytearray(data)
    for _ in range(int(rng.integers(1, 6))):
        place = int(rng.integers(0, len(changed) + 1))
        match rng.integers(0, SLICES):
            case 0:
                changed[place : place + 1] = rng.bytes(1)
            case 1:
                del changed[place : place + int(rng.integers(1, 9))]
            case 2:
                changed[place:place] = changed[place : place + int(rng.integers(1, 65))]
            case _:
                changed[place:place] = rng.bytes(int(rng.integers(1, 9)))
    return bytes(changed)


def random_json(rng: np.random.Generator, depth: int = 4) -> Any:
    """A JSON value."""
    kind = rng.integers(0, 3) if depth else 2
    if kind == 0:
        return [random_json(rng, depth - 1) for _ in range(rng.integers(0, MAX_VALUES))]
    if kind == 1:
        return {_pick(rng, WORDS): random_json(rng, depth - 1) for _ in range(rng.integers(0, MAX_VALUES))}
    return _pick(rng, JUNK)


def changed_json(rng: np.random.Generator, value: Any) -> Any:
    """A JSON value with one part of it replaced."""
    if isinstance(value, dict) and value and rng.random() < 0.8:
        key = _pick(rng, list(value))
        return {**value, key: changed_json(rng, value[key])}
    if isinstance(value, list) and value and rng.random() < 0.8:
        place = int(rng.integers(0, len(value)))
        return [*value[:place], changed_json(rng, value[place]), *value[place + 1 :]]
    return random_json(rng)


def random_body(rng: np.random.Generator, valid: Sequence[Any]) -> bytes:
    """The body of a REST request."""
    makers: list[Callable[[], bytes]] = [
        lambda: json.dumps(changed_json(rng, _pick(rng, valid))).encode(),
        lambda: mutated(rng, json.dumps(_pick(rng, valid)).encode()),
        lambda: json.dumps({_pick(rng, ["instances", "inputs", "examples", "x"]): random_json(rng)}).encode(),
        lambda: rng.bytes(int(rng.integers(0, 200))),
        lambda: _pick(rng, EXTREMES) if rng.random() < 0.2 else b"",
    ]
    return makers[int(rng.integers(0, len(makers)))]()


def random_path(rng: np.random.Generator) -> str:
    """The path of a REST request, most of them nearly right."""
    parts = ["/v1/models", "/several", "/shared", "/nobody", "/versions/3", "/versions/9", f"/versions/{2**63}"]
    parts += [
        "/labels/x",
        "/metadata",
        ":predict",
        ":classify",
        ":regress",
        ":PREDICT",
        "/%00",
        "/%ff",
        "//",
        "/..",
        "?a=b",
    ]
    return "/v1/models" * bool(rng.random() < 0.8) + "".join(_pick(rng, parts) for _ in range(rng.integers(1, 5)))


def _fill(rng: np.random.Generator, message: Message, field: FieldDescriptor, depth: int) -> None:
    nested = field.message_type
    if nested is not None and nested.GetOptions().map_entry:
        _fill_map(rng, message, field, depth)
    elif nested is not None:
        if depth:
            _fill_nested(rng, message, field, depth)
    elif field.is_repeated:
        getattr(message, field.name).extend(_scalar(rng, field) for _ in range(rng.integers(0, MAX_VALUES)))
    else:
        setattr(message, field.name, _scalar(rng, field))


def _fill_map(rng: np.random.Generator, message: Message, field: FieldDescriptor, depth: int) -> None:
    entries = getattr(message, field.name)
    for _ in range(rng.integers(0, MAX_VALUES)):
        key = _scalar(rng, field.message_type.fields_by_name["key"])
        if field.message_type.fields_by_name["value"].message_type is None:
            entries[key] = _scalar(rng, field.message_type.fields_by_name["value"])
        elif depth:
            random_message(rng, entries[key], depth - 1)


def _fill_nested(rng: np.random.Generator, message: Message, field: FieldDescriptor, depth: int) -> None:
    if field.is_repeated:
        for _ in range(rng.integers(0, MAX_VALUES)):
            random_message(rng, getattr(message, field.name).add(), depth - 1)
    else:
        random_message(rng, getattr(message, field.name), depth - 1)
        getattr(message, field.name).SetInParent()


def _scalar(rng: np.random.Generator, field: FieldDescriptor) -> Any:
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        text = field.type == FieldDescriptor.TYPE_STRING
        return _pick(rng, WORDS) if text else rng.bytes(int(rng.integers(0, 40)))
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return bool(rng.integers(0, 2))
    if field.cpp_type == FieldDescriptor.CPPTYPE_ENUM:
        return _pick(rng, [value.number for value in field.enum_type.values])
    if field.cpp_type in {FieldDescriptor.CPPTYPE_FLOAT, FieldDescriptor.CPPTYPE_DOUBLE}:
        return float(_pick(rng, [*NUMBERS, np.inf, np.nan]))
    number = int(_pick(rng, NUMBERS))
    unsigned = field.cpp_type in {FieldDescriptor.CPPTYPE_UINT32, FieldDescriptor.CPPTYPE_UINT64}
    return abs(number) if unsigned else number


def _pick(rng: np.random.Generator, items: Sequence[Any]) -> Any:
    return items[int(rng.integers(0, len(items)))]
