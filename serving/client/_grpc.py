"""The gRPC client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import grpc

from ml.errors import ServingError
from serving.client._answers import (
    IMAGE_INPUT,
    ModelMetadata,
    Prediction,
    Signature,
    TensorDescription,
    VersionStatus,
    address_of,
    predictions,
    serving_error,
)
from serving.client._wire import DATA_TYPES, array_of, message, string_tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ml.config import Settings

__all__ = ["GrpcClient"]

MAX_MESSAGE_BYTES = 2**31 - 1
STATES = {0: "UNKNOWN", 10: "START", 20: "LOADING", 30: "AVAILABLE", 40: "UNLOADING", 50: "END"}
CODES = {code.value[0]: code.name for code in grpc.StatusCode}


class GrpcClient:
    """Asks one model of a server; may be shared by threads, and is closed by ``with``.

    Args:
        host: of the server.
        port: its gRPC port.
        model_name: of the model.
        timeout_seconds: for each call, connecting included.
    """

    def __init__(self, host: str, port: int, model_name: str, timeout_seconds: float = 30.0) -> None:
        self.address = address_of(host, port)
        self._model_name = model_name
        self._timeout_seconds = timeout_seconds
        options = [
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
            # A proxy for the way out of a company is no way to a server inside it.
            ("grpc.enable_http_proxy", 0),
        ]
        self._channel = grpc.insecure_channel(self.address, options=options)

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """A client of the server that the settings name."""
        serving = settings.serving
        return cls(serving.host, serving.grpc_port, settings.model_name, serving.timeout_seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    def predict(self, images: Sequence[bytes], version: int | None = None) -> list[Prediction]:
        """Classify encoded JPEG or PNG images, one answer for each in their order.

        Args:
            images: no images give no answers.
            version: the newest that is loaded by default.

        Raises:
            ServingError: no answer in time, no such model, or bytes that are not an image.
        """
        if not images:
            return []
        request = message("PredictRequest")(model_spec=self._spec(version))
        request.inputs[IMAGE_INPUT].CopyFrom(string_tensor(list(images)))
        response = self._call("PredictionService/Predict", request, message("PredictResponse"))
        try:
            outputs = {name: array_of(tensor) for name, tensor in response.outputs.items()}
        except ValueError as error:
            raise ServingError(
                f"{self.address} sent an answer that cannot be read: {error}.",
                "Ask a model that this project exported.",
            ) from error
        values: dict[str, Sequence[Any]] = {
            name: [_decoded(item) for item in array] if array.ndim else [] for name, array in outputs.items()
        }
        return predictions(self.address, len(images), values, int(response.model_spec.version.value))

    def status(self) -> list[VersionStatus]:
        """The versions the server has seen, from the highest to the lowest.

        Raises:
            ServingError: no answer in time, or no such model.
        """
        request = message("GetModelStatusRequest")(model_spec=self._spec())
        response = self._call("ModelService/GetModelStatus", request, message("GetModelStatusResponse"))
        return [
            VersionStatus(
                int(entry.version),
                STATES.get(entry.state, str(entry.state)),
                CODES.get(entry.status.error_code, str(entry.status.error_code)),
                str(entry.status.error_message),
            )
            for entry in response.model_version_status
        ]

    def metadata(self, version: int | None = None) -> ModelMetadata:
        """The signatures of a version, of the newest that is loaded by default.

        Raises:
            ServingError: no answer in time, or no such model.
        """
        request = message("GetModelMetadataRequest")(model_spec=self._spec(version), metadata_field=["signature_def"])
        response = self._call("PredictionService/GetModelMetadata", request, message("GetModelMetadataResponse"))
        found = message("SignatureDefMap").FromString(response.metadata["signature_def"].value)
        signatures = {name: _signature(definition) for name, definition in found.signature_def.items()}
        return ModelMetadata(response.model_spec.name, int(response.model_spec.version.value), signatures)

    def _spec(self, version: int | None = None) -> Any:
        spec = message("ModelSpec")(name=self._model_name)
        if version is not None:
            spec.version.value = version
        return spec

    def _call(self, method: str, request: Any, answer: Any) -> Any:
        call = self._channel.unary_unary(
            f"/tensorflow.serving.{method}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=answer.FromString,
        )
        try:
            return call(request, timeout=self._timeout_seconds)
        except grpc.RpcError as error:
            raise serving_error(self.address, error.code().name, error.details()) from error


def _decoded(item: Any) -> Any:
    return item.decode("utf-8", "replace") if isinstance(item, bytes) else item


def _signature(definition: Any) -> Signature:
    return Signature(
        {name: _description(info) for name, info in definition.inputs.items()},
        {name: _description(info) for name, info in definition.outputs.items()},
    )


def _description(info: Any) -> TensorDescription:
    shape = None if info.tensor_shape.unknown_rank else tuple(int(dim.size) for dim in info.tensor_shape.dim)
    return TensorDescription(DATA_TYPES.get(info.dtype, str(info.dtype)), shape)
