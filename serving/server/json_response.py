"""Answers in TensorFlow Serving's JSON: predictions, metadata, status and errors."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import numpy as np
from google.protobuf import json_format  # type: ignore[import-untyped]

from serving.server.status import Code, StatusError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from serving.server.model import LoadedModel
    from serving.server.versions import VersionState

__all__ = ["dump", "format_error", "format_metadata", "format_outputs", "format_status", "shortest", "to_text"]

#: Outputs of these names are binary; strings of any other are text.
BYTES_SUFFIX = "_bytes"
#: numpy's names of the dtypes that have a JSON form.
KNOWN = {"float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint32", "uint64", "bool", "object"}


def format_outputs(outputs: Mapping[str, NDArray[Any]], row: bool) -> bytes:
    """A prediction's answer; NaN and infinities are written bare, which strict JSON does not know.

    Args:
        outputs: arrays by name, strings as object arrays of bytes.
        row: for a request with ``instances``; every output is then cut along its first dimension.

    Raises:
        StatusError: INVALID_ARGUMENT for a dtype without a JSON form, or for rows of outputs that do not share their
            first dimension.
    """
    if row:
        _check_batch(outputs)
    values = {name: _values(name, array) for name, array in outputs.items()}
    if len(values) == 1:
        (answer,) = values.values()
    elif row:
        answer = [dict(zip(values, items, strict=True)) for items in zip(*values.values(), strict=True)]
    else:
        answer = values
    return dump({"predictions" if row else "outputs": answer})


def format_status(states: Iterable[VersionState]) -> bytes:
    """The versions of a model, with 64-bit numbers as strings."""
    return _dump(
        {
            "model_version_status": [
                {
                    "version": str(state.version),
                    "state": state.state.name,
                    "status": {"error_code": state.code.name, "error_message": state.message},
                }
                for state in states
            ]
        }
    )


def format_metadata(name: str, model: LoadedModel) -> bytes:
    """A model's signatures, nested twice under ``signature_def`` as TensorFlow Serving does."""
    signatures = {
        key: json_format.MessageToDict(
            signature, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
        )
        for key, signature in model.signatures.items()
    }
    return _dump(
        {
            "model_spec": {"name": name, "signature_name": "", "version": str(model.version)},
            "metadata": {"signature_def": {"signature_def": signatures}},
        }
    )


def format_error(message: str) -> bytes:
    """The body of every error."""
    return _dump({"error": message})


def _check_batch(outputs: Mapping[str, NDArray[Any]]) -> None:
    for name, array in outputs.items():
        if array.ndim == 0:
            raise StatusError(Code.INVALID_ARGUMENT, f"Tensor name: {name} has no shape information")
    sizes = {name: array.shape[0] for name, array in outputs.items()}
    if len(set(sizes.values())) > 1:
        raise StatusError(Code.INVALID_ARGUMENT, f"The answer has inconsistent batch size over its outputs: {sizes}")


def _values(name: str, array: NDArray[Any]) -> Any:
    if array.dtype.name not in KNOWN:
        raise StatusError(Code.INVALID_ARGUMENT, f"Tensor name: {name} of type {array.dtype.name} has no JSON form")
    if array.dtype.name == "object":
        write = _binary if name.endswith(BYTES_SUFFIX) else to_text
        return _mapped(array, write)
    if array.dtype.name == "float32":
        return _mapped(array, shortest)
    return array.tolist()


def _mapped(array: NDArray[Any], write: Any) -> Any:
    flat = np.empty(array.size, dtype=object)
    flat[:] = [write(value) for value in array.ravel()]
    return flat.reshape(array.shape).tolist()


def shortest(value: np.float32) -> float:
    """The float64 of the shortest digits that give a float32 back; its own would show digits that are not there."""
    return float(str(value))


def to_text(value: bytes) -> str:
    """A model's string; bytes that are not UTF-8 leave as they are."""
    return value.decode("utf-8", "surrogateescape")


def _binary(value: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(value).decode("ascii")}


def dump(document: Any) -> bytes:
    """JSON as the protocol's server writes it, strings of a model as :func:`to_text` gives them."""
    return json.dumps(document, indent=1, ensure_ascii=False).encode("utf-8", "surrogateescape")


def _dump(document: Any) -> bytes:
    # What a request sent is quoted here, and JSON can spell strings that UTF-8 cannot.
    return json.dumps(document, indent=1).encode()
