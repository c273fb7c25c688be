"""What is asked and answered as messages of gRPC."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import grpc
import PIL.Image
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from serving.client._answers import (
    EXAMPLES,
    EXAMPLES_INPUT,
    EXPLAIN,
    IMAGE_INPUT,
    OWN_MODEL,
    PIXELS_INPUT,
    TENSOR,
    ModelMetadata,
    Signature,
    TensorDescription,
    VersionStatus,
    class_names,
    explanations,
    predictions,
)
from serving.client._calls import Call
from serving.client._errors import CallError, UnexpectedAnswerError, call_error
from serving.client._images import Encoded, Pixels, as_png
from serving.client._wire import DATA_TYPES, array_of, float_tensor, image_example, message, string_tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from serving.client._answers import Explanation, Prediction
    from serving.client._calls import Choice, T

__all__ = ["CHANNEL_OPTIONS", "PROBE", "GrpcLanguage", "grpc_error"]

MAX_MESSAGE_BYTES = 2**31 - 1
CHANNEL_OPTIONS = [
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    # A proxy for the way out of a company is no way to a server inside it.
    ("grpc.enable_http_proxy", 0),
    # A channel refuses calls until it has tried to connect again: sooner than a call's next try.
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 1000),
]
#: Metadata of calls that only try a server; TensorFlow Serving ignores it, as it does all that it does not know.
PROBE = ("x-quartet-probe", "1")
STATES = {0: "UNKNOWN", 10: "START", 20: "LOADING", 30: "AVAILABLE", 40: "UNLOADING", 50: "END"}
CODES = {code.value[0]: code.name for code in grpc.StatusCode}
SERVICES = "/tensorflow.serving."


class GrpcLanguage:
    """Speaks of one model, at an address that messages name."""

    def __init__(self, address: str, model_name: str) -> None:
        self._address, self._model_name = address, model_name

    def predict(self, images: Encoded | Pixels, choice: Choice) -> Call[list[Prediction]]:
        """By ``serving_default``, or by ``serving_tensor`` for pixels."""
        if isinstance(images, Pixels):
            tensor, signature, name = float_tensor(images.array), TENSOR, PIXELS_INPUT
        else:
            tensor, signature, name = string_tensor(list(images.images)), "", IMAGE_INPUT
        return self._predict(name, tensor, signature, choice, partial(self._predictions, len(images)))

    def explain(self, images: Encoded, choice: Choice) -> Call[list[Explanation]]:
        """By the signature of that name."""
        tensor = string_tensor(list(images.images))
        return self._predict(IMAGE_INPUT, tensor, EXPLAIN, choice, partial(self._explanations, len(images)))

    def classes(self, choice: Choice) -> Call[tuple[str, ...]]:
        """By ``classify``, asked a black picture: it lists all labels with every answer."""
        picture = image_example(as_png(PIL.Image.new("L", (32, 32))))
        return self._predict(EXAMPLES_INPUT, string_tensor([picture]), EXAMPLES, choice, self._classes)

    def status(self) -> Call[list[VersionStatus]]:
        """By GetModelStatus, which ignores labels."""
        request = message("GetModelStatusRequest")(model_spec=message("ModelSpec")(name=self._model_name))
        return self._call("ModelService/GetModelStatus", request, "GetModelStatusResponse", _statuses)

    def metadata(self, choice: Choice) -> Call[ModelMetadata]:
        """By GetModelMetadata."""
        request = message("GetModelMetadataRequest")(model_spec=self._spec(choice), metadata_field=["signature_def"])
        return self._call("PredictionService/GetModelMetadata", request, "GetModelMetadataResponse", _metadata)

    def _predict(self, name: str, tensor: Any, signature: str, choice: Choice, read: Callable[[Any], T]) -> Call[T]:
        request = message("PredictRequest")(model_spec=self._spec(choice, signature))
        request.inputs[name].CopyFrom(tensor)
        return self._call("PredictionService/Predict", request, "PredictResponse", read)

    def _call(self, method: str, request: Any, answer: str, read: Callable[[Any], T]) -> Call[T]:
        def parse(data: bytes) -> T:
            try:
                return read(message(answer).FromString(data))
            except (DecodeError, ValueError) as error:
                raise UnexpectedAnswerError(
                    f"{self._address} sent an answer that cannot be read: {error}.", OWN_MODEL
                ) from error

        return Call(SERVICES + method, request.SerializeToString(), parse)

    def _spec(self, choice: Choice, signature: str = "") -> Any:
        spec = message("ModelSpec")(name=self._model_name, signature_name=signature)
        if choice.version is not None:
            spec.version.value = choice.version
        elif choice.label is not None:
            spec.version_label = choice.label
        return spec

    def _predictions(self, count: int, response: Any) -> list[Prediction]:
        return predictions(self._address, count, _outputs(response), int(response.model_spec.version.value))

    def _explanations(self, count: int, response: Any) -> list[Explanation]:
        return explanations(self._address, count, _outputs(response), int(response.model_spec.version.value))

    def _classes(self, response: Any) -> tuple[str, ...]:
        return class_names(self._address, _outputs(response))


def grpc_error(address: str, error: Any) -> CallError:
    """The client's error for gRPC's, of either of its APIs."""
    return call_error(address, error.code().name, error.details() or "no details")


def _outputs(response: Any) -> dict[str, Sequence[Any]]:
    arrays = {name: array_of(tensor) for name, tensor in response.outputs.items()}
    return {name: [_decoded(item) for item in array] if array.ndim else [] for name, array in arrays.items()}


def _decoded(item: Any) -> Any:
    return item.decode("utf-8", "replace") if isinstance(item, bytes) else item


def _statuses(response: Any) -> list[VersionStatus]:
    return [
        VersionStatus(
            int(entry.version),
            STATES.get(entry.state, str(entry.state)),
            CODES.get(entry.status.error_code, str(entry.status.error_code)),
            str(entry.status.error_message),
        )
        for entry in response.model_version_status
    ]


def _metadata(response: Any) -> ModelMetadata:
    found = message("SignatureDefMap").FromString(response.metadata["signature_def"].value)
    signatures = {name: _signature(definition) for name, definition in found.signature_def.items()}
    return ModelMetadata(response.model_spec.name, int(response.model_spec.version.value), signatures)


def _signature(definition: Any) -> Signature:
    return Signature(
        {name: _description(info) for name, info in definition.inputs.items()},
        {name: _description(info) for name, info in definition.outputs.items()},
    )


def _description(info: Any) -> TensorDescription:
    shape = None if info.tensor_shape.unknown_rank else tuple(int(dim.size) for dim in info.tensor_shape.dim)
    return TensorDescription(DATA_TYPES.get(info.dtype, str(info.dtype)), shape)
