"""Requests to the models of ``served_models``, over both protocols."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import (
    classification_pb2,
    inference_pb2,
    predict_pb2,
    regression_pb2,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import requests

    from protocols import Rest


def post(
    rest: Rest, body: Any, verb: str = "predict", model: str = "several", choice: str = "", **arguments: Any
) -> requests.Response:
    """Send a body as JSON, or as it is when it is bytes."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return rest.request("POST", f"/v1/models/{model}{choice}:{verb}", data=data, **arguments)


def predict_request(
    signature: str = "",
    inputs: Mapping[str, Any] | None = None,
    model: str = "several",
    output_filter: Sequence[str] = (),
) -> Any:
    """A PredictRequest; without inputs, ``x`` is [2, 4]."""
    request = predict_pb2.PredictRequest(output_filter=list(output_filter))
    request.model_spec.name = model
    request.model_spec.signature_name = signature
    for name, value in ({"x": np.float32([2, 4])} if inputs is None else inputs).items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    return request


def example(x: float) -> Any:
    """A ``tf.Example`` with the feature ``x``."""
    made = tf.train.Example()
    made.features.feature["x"].float_list.value.append(x)
    return made


def classification_request(signature: str, *values: float, model: str = "several") -> Any:
    return _with_examples(classification_pb2.ClassificationRequest(), signature, values, model)


def regression_request(signature: str, *values: float, model: str = "several") -> Any:
    return _with_examples(regression_pb2.RegressionRequest(), signature, values, model)


def multi_inference_request(*tasks: tuple[str, str], values: Sequence[float] = (0.25,), model: str = "shared") -> Any:
    """Of tasks as pairs of a signature and its method."""
    request = inference_pb2.MultiInferenceRequest()
    for signature, method in tasks:
        task = request.tasks.add(method_name=method)
        task.model_spec.name = model
        task.model_spec.signature_name = signature
    request.input.example_list.examples.extend(_protos(values))
    return request


def _with_examples(request: Any, signature: str, values: Sequence[float], model: str) -> Any:
    request.model_spec.name = model
    request.model_spec.signature_name = signature
    request.input.example_list.examples.extend(_protos(values))
    return request


def _protos(values: Sequence[float]) -> list[Any]:
    from tensorflow.core.example import example_pb2

    return [example_pb2.Example.FromString(example(value).SerializeToString()) for value in values]
