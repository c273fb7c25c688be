"""Classify and regress requests in TensorFlow Serving's JSON, and their answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from tensorflow.core.example import example_pb2

from serving.server.json_request import decode_base64, encode_text, is_base64, quote
from serving.server.json_response import dump, shortest, to_text
from serving.server.status import Code, StatusError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["format_classes", "format_values", "read_examples"]

INT64 = range(-(2**63), 2**63)


def read_examples(document: Mapping[str, Any]) -> NDArray[Any]:
    """The examples of a request's body, each with its context, as an object array [N] of serialised ``tf.Example``.

    Strings become bytes, numbers that are no integers floats, integers and booleans int64.

    Raises:
        StatusError: INVALID_ARGUMENT when there is no example, or a feature is null, nested, or of several kinds.
    """
    examples = document.get("examples")
    if not isinstance(examples, list) or not examples:
        raise _bad("'examples' must be a list with at least one element")
    context = document.get("context", {})
    if not isinstance(context, dict):
        raise _bad(f"JSON Value: {quote(context)} is wrong: 'context' must be an object")
    array = np.empty(len(examples), dtype=object)
    array[:] = [_example(context, example).SerializeToString() for example in examples]
    return array


def format_classes(results: Sequence[Sequence[tuple[bytes, float]]]) -> bytes:
    """The answer of classify: for each example a list of label and score."""
    return dump({"results": [[[to_text(label), _short(score)] for label, score in row] for row in results]})


def format_values(results: Sequence[float]) -> bytes:
    """The answer of regress: a value for each example."""
    return dump({"results": [_short(value) for value in results]})


def _example(context: Mapping[str, Any], features: Any) -> Any:
    if not isinstance(features, dict):
        raise _bad(f"JSON Value: {quote(features)} is wrong: an example must be an object")
    example = example_pb2.Example()
    for name, value in {**context, **features}.items():
        feature = example.features.feature[encode_text(name).decode()]
        _fill(feature, name, value if isinstance(value, list) else [value])
    return example


def _fill(feature: Any, name: str, values: Sequence[Any]) -> None:
    kinds = {_kind(name, value) for value in values}
    if len(kinds) > 1:
        raise _bad(f"The feature {quote(name)} mixes {' and '.join(sorted(kinds))}")
    for kind in kinds:
        getattr(feature, kind).value.extend(_value(name, value, kind) for value in values)


def _kind(name: str, value: Any) -> str:
    if isinstance(value, str) or is_base64(value):
        return "bytes_list"
    if isinstance(value, int):
        return "int64_list"
    if isinstance(value, float):
        return "float_list"
    raise _bad(f"The feature {quote(name)} has the value {quote(value)}, which is no string, number or boolean")


def _value(name: str, value: Any, kind: str) -> Any:
    if kind == "bytes_list":
        return encode_text(value) if isinstance(value, str) else decode_base64(value["b64"])
    if kind == "float_list":
        with np.errstate(over="ignore"):
            return float(np.float32(value))
    if value not in INT64:
        raise _bad(f"The feature {quote(name)} has the value {quote(value)}, which no int64 holds")
    return int(value)


def _short(value: float) -> float:
    return shortest(np.float32(value))


def _bad(message: str) -> StatusError:
    return StatusError(Code.INVALID_ARGUMENT, message)
