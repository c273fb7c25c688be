"""From a request to its answer, for a model that was found: what gRPC and warm-up share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tensorflow_serving.apis import classification_pb2, inference_pb2, predict_pb2, regression_pb2

from serving.server.examples import (
    CLASSIFY,
    REGRESS,
    classify_examples,
    find_signature,
    regress_examples,
    serialize_examples,
)
from serving.server.signatures import DEFAULT_SIGNATURE
from serving.server.status import Code, StatusError
from serving.server.tensors import to_proto

if TYPE_CHECKING:
    from collections.abc import Sequence

    from serving.server.examples import Run
    from serving.server.model import LoadedModel

__all__ = ["classify", "multi_inference", "predict", "regress"]


def predict(model: LoadedModel, request: Any, run: Run, as_content: bool = False) -> Any:
    """The PredictResponse.

    Args:
        model: that was asked.
        request: a PredictRequest.
        run: calls a signature of the model.
        as_content: whether numbers come as raw content.

    Raises:
        StatusError: the request does not fit the signature, or what ``run`` raises.
    """
    name = request.model_spec.signature_name or DEFAULT_SIGNATURE
    inputs = model.parse(name, request.inputs)
    wanted = _filtered(model.function(name).outputs, list(request.output_filter))
    outputs = run(name, inputs)
    response = predict_pb2.PredictResponse()
    _fill_spec(response.model_spec, request.model_spec, model)
    for key in wanted:
        response.outputs[key].CopyFrom(to_proto(outputs[key], as_content))
    return response


def classify(model: LoadedModel, request: Any, run: Run) -> Any:
    """The ClassificationResponse; raises as :func:`predict`."""
    name = request.model_spec.signature_name or DEFAULT_SIGNATURE
    find_signature(model, name, CLASSIFY)
    response = classification_pb2.ClassificationResponse()
    _fill_classes(response.result, name, serialize_examples(request.input), run)
    _fill_spec(response.model_spec, request.model_spec, model)
    return response


def regress(model: LoadedModel, request: Any, run: Run) -> Any:
    """The RegressionResponse; raises as :func:`predict`."""
    name = request.model_spec.signature_name or DEFAULT_SIGNATURE
    find_signature(model, name, REGRESS)
    response = regression_pb2.RegressionResponse()
    _fill_values(response.result, name, serialize_examples(request.input), run)
    _fill_spec(response.model_spec, request.model_spec, model)
    return response


def multi_inference(model: LoadedModel, request: Any, run: Run) -> Any:
    """The MultiInferenceResponse: several classify and regress signatures on the same examples.

    As TensorFlow Serving does, this takes only signatures that share their input tensor. Raises as :func:`predict`.
    """
    _check_tasks(model, request.tasks)
    examples = serialize_examples(request.input)
    response = inference_pb2.MultiInferenceResponse()
    for task in request.tasks:
        name = task.model_spec.signature_name or DEFAULT_SIGNATURE
        result = response.results.add()
        if task.method_name == CLASSIFY:
            _fill_classes(result.classification_result, name, examples, run)
        else:
            _fill_values(result.regression_result, name, examples, run)
        _fill_spec(result.model_spec, task.model_spec, model)
    return response


def _check_tasks(model: LoadedModel, tasks: Sequence[Any]) -> None:
    names: set[str] = set()
    tensors: set[str] = set()
    for task in tasks:
        if not task.model_spec.name:
            raise StatusError(Code.INVALID_ARGUMENT, "Found ModelSpec with an empty model name.")
        if task.model_spec.name != tasks[0].model_spec.name:
            raise StatusError(
                Code.INVALID_ARGUMENT,
                "All ModelSpecs in a MultiInferenceRequest must access the same model name.",
            )
        name = task.model_spec.signature_name or DEFAULT_SIGNATURE
        if name in names:
            raise StatusError(Code.INVALID_ARGUMENT, f"Duplicate evaluation of signature: {name}")
        names.add(name)
        if task.method_name not in {CLASSIFY, REGRESS}:
            raise StatusError(Code.UNIMPLEMENTED, f"Unsupported signature method_name: {task.method_name}")
        function = find_signature(model, name, task.method_name)
        tensors |= {info.name for info in function.definition.inputs.values()}
    if len(tensors) > 1:
        raise StatusError(Code.INVALID_ARGUMENT, "Input tensor must be the same for all Signatures.")


def _fill_classes(result: Any, name: str, examples: Any, run: Run) -> None:
    for row in classify_examples(name, examples, run):
        classes = result.classifications.add().classes
        for label, score in row:
            classes.add(label=_text(label), score=score)


def _fill_values(result: Any, name: str, examples: Any, run: Run) -> None:
    for value in regress_examples(name, examples, run):
        result.regressions.add(value=value)


def _fill_spec(answered: Any, asked: Any, model: LoadedModel) -> None:
    answered.name = asked.name
    answered.version.value = model.version
    answered.signature_name = asked.signature_name or DEFAULT_SIGNATURE


def _filtered(outputs: Sequence[str], wanted: Sequence[str]) -> Sequence[str]:
    for name in wanted:
        if name not in outputs:
            raise StatusError(
                Code.INVALID_ARGUMENT,
                f"output tensor alias not found in signature: {name}; it has {{{', '.join(sorted(outputs))}}}",
            )
        if wanted.count(name) > 1:
            raise StatusError(Code.INVALID_ARGUMENT, f"duplicate output tensor alias: {name}")
    return wanted or outputs


def _text(label: bytes) -> str:
    try:
        return label.decode()
    except UnicodeDecodeError as error:
        raise StatusError(Code.INTERNAL, f"The model's class {label!r} is not UTF-8") from error
