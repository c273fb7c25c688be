"""Classification and regression of ``tf.Example``: which signatures can, their input and their results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from tensorflow.core.framework import types_pb2

from serving.server.status import Code, StatusError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from serving.server.model import LoadedModel
    from serving.server.signatures import Signature

    #: From a signature's name and its inputs to its outputs.
    Run = Callable[[str, Mapping[str, NDArray[Any]]], dict[str, NDArray[Any]]]

__all__ = [
    "CLASSIFY",
    "REGRESS",
    "classify_examples",
    "find_signature",
    "regress_examples",
    "serialize_examples",
]

CLASSIFY, REGRESS = "tensorflow/serving/classify", "tensorflow/serving/regress"
KINDS = {CLASSIFY: "classification", REGRESS: "regression"}
INPUT = "inputs"
OUTPUTS = {CLASSIFY: ("classes", "scores"), REGRESS: ("outputs",)}


def serialize_examples(sent: Any) -> NDArray[Any]:
    """The examples of an ``Input`` as an object array [N] of bytes, each behind the context that they share.

    Raises:
        StatusError: INVALID_ARGUMENT when there is none.
    """
    kind = sent.WhichOneof("kind")
    examples = getattr(sent, kind).examples if kind else []
    if not examples:
        raise StatusError(Code.INVALID_ARGUMENT, "Input is empty.")
    # Messages one behind the other are one message: of a feature in both, the example's counts.
    context = sent.example_list_with_context.context.SerializeToString() if kind == "example_list_with_context" else b""
    array = np.empty(len(examples), dtype=object)
    array[:] = [context + example.SerializeToString() for example in examples]
    return array


def find_signature(model: LoadedModel, name: str, method: str) -> Signature:
    """A signature that classifies or regresses.

    Args:
        model: has it.
        name: of the signature.
        method: ``CLASSIFY`` or ``REGRESS``.

    Raises:
        StatusError: INVALID_ARGUMENT when there is none of that name, it is for another method, or has not one input
            and the method's number of outputs; FAILED_PRECONDITION when these have other names.
    """
    if name not in model.functions:
        raise StatusError(Code.INVALID_ARGUMENT, f"No signature was found with the name: {name}")
    function = model.functions[name]
    found = function.definition.method_name
    if found != method:
        raise StatusError(
            Code.INVALID_ARGUMENT,
            f"Expected {KINDS[method]} signature method_name to be {method}. Was: {found}",
        )
    _check_form(function, method)
    return function


def classify_examples(name: str, examples: NDArray[Any], run: Run) -> list[list[tuple[bytes, float]]]:
    """Label and score of each class, for each example; "" and 0 for those that the signature does not give."""
    outputs = run(name, {INPUT: examples})
    for key, dtype in (("classes", types_pb2.DT_STRING), ("scores", types_pb2.DT_FLOAT)):
        if key in outputs:
            _check_result(key, outputs[key], dtype, len(examples))
    shapes = {array.shape for array in outputs.values()}
    if len(shapes) > 1:
        raise StatusError(
            Code.INVALID_ARGUMENT, f"Tensors class and score should match in dim_size(1). Got {sorted(shapes)}"
        )
    shape = shapes.pop()
    labels = outputs.get("classes", np.full(shape, b"", dtype=object))
    scores = outputs.get("scores", np.zeros(shape, np.float32))
    return [list(zip(*row, strict=True)) for row in zip(labels.tolist(), scores.tolist(), strict=True)]


def regress_examples(name: str, examples: NDArray[Any], run: Run) -> list[float]:
    """The value for each example."""
    values = run(name, {INPUT: examples})["outputs"]
    if values.ndim != 1 and not (values.ndim == 2 and values.shape[1] == 1):
        raise StatusError(
            Code.INVALID_ARGUMENT,
            f"Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got {list(values.shape)}",
        )
    if len(values) != len(examples):
        raise StatusError(
            Code.INVALID_ARGUMENT,
            f"Input batch size did not match output batch size: {len(examples)} vs. {len(values)}",
        )
    _check_dtype("output", values, types_pb2.DT_FLOAT)
    return [float(value) for value in values.ravel()]


def _check_form(function: Signature, method: str) -> None:
    inputs, outputs = set(function.definition.inputs), set(function.definition.outputs)
    if len(inputs) != 1:
        raise StatusError(Code.INVALID_ARGUMENT, "Expected one input Tensor.")
    wanted = OUTPUTS[method]
    if not 1 <= len(outputs) <= len(wanted):
        number = "one or two output Tensors" if method == CLASSIFY else "one output Tensor"
        raise StatusError(Code.INVALID_ARGUMENT, f"Expected {number}, found {len(outputs)}")
    if inputs != {INPUT}:
        raise StatusError(
            Code.FAILED_PRECONDITION, f"No {KINDS[method]} inputs found in SignatureDef: it has {sorted(inputs)}"
        )
    if not outputs & set(wanted):
        raise StatusError(
            Code.FAILED_PRECONDITION,
            f"Expected {KINDS[method]} signature outputs to contain at least one of {list(wanted)}, "
            f"not {sorted(outputs)}",
        )


def _check_result(key: str, array: NDArray[Any], dtype: int, examples: int) -> None:
    if array.ndim != 2:
        raise StatusError(
            Code.INVALID_ARGUMENT, f"Expected Tensor shape: [batch_size num_classes] but got {list(array.shape)}"
        )
    _check_dtype(key, array, dtype)
    if len(array) != examples:
        raise StatusError(Code.INVALID_ARGUMENT, f"Expected {key} output batch size of {examples}. Got: {len(array)}")


def _check_dtype(key: str, array: NDArray[Any], dtype: int) -> None:
    wanted = np.dtype(object if dtype == types_pb2.DT_STRING else np.float32)
    if array.dtype != wanted:
        raise StatusError(
            Code.INVALID_ARGUMENT,
            f"Expected {key} Tensor of {types_pb2.DataType.Name(dtype)}. Got: {array.dtype.name}",
        )
