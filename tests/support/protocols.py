"""One request in both of TensorFlow Serving's protocols, without this project's clients."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
import numpy as np
import requests
import tensorflow as tf
from google.protobuf import text_format
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from model_servers import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SECONDS = 30
#: The contract's table from a code to an HTTP status.
HTTP_STATUS = {
    "OK": 200,
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "NOT_FOUND": 404,
    "RESOURCE_EXHAUSTED": 429,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
STATES = {0: "UNKNOWN", 10: "START", 20: "LOADING", 30: "AVAILABLE", 40: "UNLOADING", 50: "END"}


@dataclass(frozen=True)
class Answer:
    """What came back: a gRPC code's name or an HTTP status, the error's text, and the value of a success."""

    status: str | int
    text: str = ""
    value: Any = None

    def is_status(self, code: str) -> bool:
        return self.status == (code if isinstance(self.status, str) else HTTP_STATUS[code])

    @property
    def ok(self) -> bool:
        return self.is_status("OK")


class Speaker:
    """What both protocols can be asked."""

    def wait_for(self, version: int, state: str = "AVAILABLE", name: str = "m") -> None:
        """Wait for a version to come into a state."""
        wait_until(lambda: self.state(version, name) == state)

    def state(self, version: int, name: str = "m") -> str | None:
        listed = self.states(name).value or []
        return next((state for number, state, _ in listed if number == version), None)

    def states(self, name: str = "m", version: int | None = None, label: str | None = None) -> Answer:
        raise NotImplementedError


class Grpc(Speaker):
    """Speaks gRPC to a server."""

    name = "grpc"

    def __init__(self, server: Any) -> None:
        self.channel = grpc.insecure_channel(server.target, [("grpc.enable_retries", 0)])
        self.prediction = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)
        self.models = model_service_pb2_grpc.ModelServiceStub(self.channel)

    def close(self) -> None:
        self.channel.close()

    def predict(
        self, x: Sequence[float], name: str = "m", version: int | None = None, label: str | None = None
    ) -> Answer:
        request = predict_pb2.PredictRequest()
        fill_spec(request.model_spec, name, version, label)
        request.inputs["x"].CopyFrom(tf.make_tensor_proto(np.float32(x)))
        return call(self.prediction.Predict, request, lambda response: list(response.outputs["y"].float_val))

    def states(self, name: str = "m", version: int | None = None, label: str | None = None) -> Answer:
        """The value is a list of version, state and error code."""
        request = get_model_status_pb2.GetModelStatusRequest()
        fill_spec(request.model_spec, name, version, label)
        return call(
            self.models.GetModelStatus,
            request,
            lambda response: [
                (entry.version, STATES[entry.state], grpc_code(entry.status.error_code))
                for entry in response.model_version_status
            ],
        )

    def metadata(self, name: str = "m", version: int | None = None, label: str | None = None) -> Answer:
        """The value is the version and the names of the signatures."""
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        fill_spec(request.model_spec, name, version, label)

        def read(response: Any) -> tuple[int, set[str]]:
            signatures = get_model_metadata_pb2.SignatureDefMap()
            response.metadata["signature_def"].Unpack(signatures)
            return response.model_spec.version.value, set(signatures.signature_def)

        return call(self.prediction.GetModelMetadata, request, read)

    def reload(self, config: str, seconds: float = SECONDS, metrics: Sequence[str] = ()) -> Answer:
        """Send a text proto ``ModelServerConfig``; the value is the response."""
        request = model_management_pb2.ReloadConfigRequest(metric_names=metrics)
        text_format.Parse(config, request.config)
        return call(self.models.HandleReloadConfigRequest, request, lambda response: response, seconds)


class Rest(Speaker):
    """Speaks REST to a server."""

    name = "rest"

    def __init__(self, server: Any) -> None:
        self.root = server.root
        self.session = requests.Session()

    def close(self) -> None:
        self.session.close()

    def request(self, method: str, path: str, **arguments: Any) -> requests.Response:
        return self.session.request(method, self.root + path, timeout=SECONDS, **arguments)

    def predict(
        self, x: Sequence[float], name: str = "m", version: int | None = None, label: str | None = None
    ) -> Answer:
        body = json.dumps({"instances": list(x)})
        response = self.request("POST", f"{path_of(name, version, label)}:predict", data=body)
        return rest_answer(response, lambda value: value["predictions"])

    def states(self, name: str = "m", version: int | None = None, label: str | None = None) -> Answer:
        """The value is a list of version, state and error code."""
        return rest_answer(
            self.request("GET", path_of(name, version, label)),
            lambda value: [
                (int(entry["version"]), entry["state"], entry["status"]["error_code"])
                for entry in value["model_version_status"]
            ],
        )

    def metadata(self, name: str = "m", version: int | None = None, label: str | None = None) -> Answer:
        """The value is the version and the names of the signatures."""
        return rest_answer(
            self.request("GET", f"{path_of(name, version, label)}/metadata"),
            lambda value: (
                int(value["model_spec"]["version"]),
                set(value["metadata"]["signature_def"]["signature_def"]),
            ),
        )


def fill_spec(spec: Any, name: str, version: int | None = None, label: str | None = None) -> None:
    spec.name = name
    if version is not None:
        spec.version.value = version
    if label is not None:
        spec.version_label = label


def path_of(name: str, version: int | None = None, label: str | None = None) -> str:
    choice = f"/versions/{version}" if version is not None else f"/labels/{label}" if label is not None else ""
    return f"/v1/models/{name}{choice}"


def call(method: Any, request: Any, read: Callable[[Any], Any], seconds: float = SECONDS) -> Answer:
    try:
        return Answer("OK", value=read(method(request, timeout=seconds)))
    except grpc.RpcError as error:
        return Answer(error.code().name, error.details())


def rest_answer(response: requests.Response, read: Callable[[Any], Any]) -> Answer:
    if response.status_code == 200:
        return Answer(200, value=read(response.json()))
    return Answer(response.status_code, response.json()["error"])


def grpc_code(number: int) -> str:
    return next(code.name for code in grpc.StatusCode if code.value[0] == number)
