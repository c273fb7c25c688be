"""Asking every signature of an exported model, as its callers do."""

from __future__ import annotations

import base64
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
import numpy as np
import requests

from serving.fresh_server import HOST

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from ml.errors import ServingError
    from serving.fresh_server import FreshServer

__all__ = ["REST", "Answer", "ask_all", "ask_broken"]

#: Images in a request.
BATCH = 8
#: For one request: the first of its batch size may build its graph.
CALL_SECONDS = 120.0
#: Name of the answer over REST beside those of the signatures.
REST = "serving_default over REST"


@dataclass(frozen=True)
class Answer:
    """What a signature answered for some images.

    Attributes:
        probabilities: float32 [N, C].
        labels: object [N, C] of str for ``classify``, [N] for the others.
        status: [N] of str, empty where the signature gives none.
        class_ids: int64 [N], likewise.
        attention: float32 [N, H, W] of ``explain``, else None.
        milliseconds: float64 [requests].
    """

    probabilities: NDArray[np.float32]
    labels: NDArray[np.object_]
    status: NDArray[np.object_]
    class_ids: NDArray[np.int64]
    attention: NDArray[np.float32] | None
    milliseconds: NDArray[np.float64]


def ask_all(server: FreshServer, images: Sequence[bytes], size: int) -> dict[str, Answer]:
    """Ask each signature for all images: ``serving_default`` one by one, which is timed, the others in batches.

    Args:
        server: that serves the model.
        images: encoded.
        size: height and width of the model's images, pixels.

    Returns:
        By signature, and ``REST`` for ``serving_default`` over REST.

    Raises:
        ServingError: a request failed.
    """
    pixels = _decode(images, size)
    one = [images[row : row + 1] for row in range(len(images))]
    several = _batches(images)
    _predict(server, "serving_default", _bytes_input(one[0]))  # builds the graph, and is not timed
    return {
        "serving_default": _join([_predict(server, "serving_default", _bytes_input(part)) for part in one]),
        "serving_tensor": _join([_predict(server, "serving_tensor", {"images": part}) for part in _batches(pixels)]),
        "explain": _join([_predict(server, "explain", _bytes_input(part)) for part in several]),
        "classify": _join([_classify(server, part) for part in several]),
        REST: _join([_rest(server, part) for part in several]),
    }


def ask_broken(server: FreshServer, image: bytes, broken: bytes) -> Answer:
    """Ask ``serving_default`` for a good image and a broken one in one request."""
    return _join([_predict(server, "serving_default", _bytes_input([image, broken]))])


def _batches(values: Any) -> list[Any]:
    return [values[row : row + BATCH] for row in range(0, len(values), BATCH)]


def _bytes_input(images: Sequence[bytes]) -> dict[str, Any]:
    return {"image_bytes": np.array(images, dtype=object)}


def _decode(images: Sequence[bytes], size: int) -> NDArray[np.float32]:
    import tensorflow as tf

    from ml.preprocessing import decode_batch

    return np.asarray(tf.function(decode_batch)(tf.constant(list(images)), size))


def _predict(server: FreshServer, signature: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = server.model_name, signature
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    stub = prediction_service_pb2_grpc.PredictionServiceStub(server.channel)
    answer, milliseconds = _call(server, signature, stub.Predict, request)
    return {name: tf.make_ndarray(value) for name, value in answer.outputs.items()} | {"milliseconds": milliseconds}


def _classify(server: FreshServer, images: Sequence[bytes]) -> dict[str, Any]:
    from tensorflow_serving.apis import classification_pb2, prediction_service_pb2_grpc

    from ml.warmup import make_example

    request = classification_pb2.ClassificationRequest()
    request.model_spec.name, request.model_spec.signature_name = server.model_name, "classify"
    request.input.example_list.examples.extend(make_example(image) for image in images)
    stub = prediction_service_pb2_grpc.PredictionServiceStub(server.channel)
    answer, milliseconds = _call(server, "classify", stub.Classify, request)
    rows = [row.classes for row in answer.result.classifications]
    return {
        "probabilities": np.array([[one.score for one in row] for row in rows], np.float32),
        "class_name": np.array([[one.label for one in row] for row in rows], object),
        "milliseconds": milliseconds,
    }


def _rest(server: FreshServer, images: Sequence[bytes]) -> dict[str, Any]:
    instances = [{"image_bytes": {"b64": base64.b64encode(image).decode()}} for image in images]
    url = f"http://{HOST}:{server.rest_port}/v1/models/{server.model_name}:predict"
    body = {"signature_name": "serving_default", "instances": instances}
    started = time.perf_counter()
    try:
        with requests.Session() as session:
            session.trust_env = False  # a proxy for the way out is no way to this process
            answer = session.post(url, json=body, timeout=CALL_SECONDS)
    except requests.RequestException as error:
        raise server.error(f"A request over REST failed: {error}") from error
    milliseconds = (time.perf_counter() - started) * 1000
    if answer.status_code != requests.codes.ok:
        raise server.error(f"A request over REST failed with {answer.status_code}: {answer.text}")
    rows = answer.json()["predictions"]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]} | {"milliseconds": milliseconds}


def _call(server: FreshServer, signature: str, method: Any, request: Any) -> tuple[Any, float]:
    started = time.perf_counter()
    try:
        answer = method(request, timeout=CALL_SECONDS)
    except grpc.RpcError as error:
        raise _failed(server, signature, error) from error
    return answer, (time.perf_counter() - started) * 1000


def _failed(server: FreshServer, signature: str, error: grpc.RpcError) -> ServingError:
    return server.error(f"A request to {signature} failed with {error.code().name}: {error.details()}")


def _join(parts: Sequence[Mapping[str, Any]]) -> Answer:
    def joined(name: str, default: Any) -> Any:
        return np.concatenate([part[name] for part in parts]) if name in parts[0] else default

    return Answer(
        probabilities=joined("probabilities", None).astype(np.float32),
        labels=_text(joined("class_name", np.empty(0, object))),
        status=_text(joined("status", np.empty(0, object))),
        class_ids=joined("class_id", np.empty(0, np.int64)),
        attention=joined("attention", None),
        milliseconds=np.array([part["milliseconds"] for part in parts]),
    )


def _text(values: NDArray[Any]) -> NDArray[np.object_]:
    flat = [value.decode() if isinstance(value, bytes) else str(value) for value in values.ravel()]
    return np.array(flat, dtype=object).reshape(values.shape)
