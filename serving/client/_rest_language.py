"""What is asked and answered as JSON over REST."""

from __future__ import annotations

import base64
import json
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import PIL.Image

from serving.client._answers import (
    EXAMPLES,
    EXPLAIN,
    OWN_MODEL,
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
from serving.client._errors import NO_ANSWER, CallError, UnexpectedAnswerError, call_error
from serving.client._images import Encoded, Pixels, as_png
from serving.client._wire import image_example

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from serving.client._answers import Explanation, Prediction
    from serving.client._calls import Choice, T

__all__ = ["RestLanguage", "model_url", "rest_error"]

#: Kinds and remedies go by gRPC's codes, of which HTTP keeps less.
CODES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    413: "RESOURCE_EXHAUSTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


class RestLanguage:
    """Speaks of one model, at an address that messages name."""

    def __init__(self, address: str) -> None:
        self._address = address

    def predict(self, images: Encoded | Pixels, choice: Choice) -> Call[list[Prediction]]:
        """By ``serving_default``, or by ``serving_tensor`` for pixels."""
        read = partial(self._predictions, len(images), choice.version)
        if isinstance(images, Pixels):
            return self._predict(images.array.tolist(), TENSOR, choice, read)
        return self._predict(_base64(images.images), None, choice, read)

    def explain(self, images: Encoded, choice: Choice) -> Call[list[Explanation]]:
        """By the signature of that name."""
        read = partial(self._explanations, len(images), choice.version)
        return self._predict(_base64(images.images), EXPLAIN, choice, read)

    def classes(self, choice: Choice) -> Call[tuple[str, ...]]:
        """By ``classify``, asked a black picture: it lists all labels with every answer."""
        picture = image_example(as_png(PIL.Image.new("L", (32, 32))))
        return self._predict(_base64([picture]), EXAMPLES, choice, self._classes)

    def status(self) -> Call[list[VersionStatus]]:
        """Of all versions."""
        return self._call("", None, _statuses)

    def metadata(self, choice: Choice) -> Call[ModelMetadata]:
        """Of the chosen version."""
        return self._call(f"{_path(choice)}/metadata", None, _metadata)

    def _predict(
        self, instances: Sequence[Any], signature: str | None, choice: Choice, read: Callable[[Any], T]
    ) -> Call[T]:
        named = {"signature_name": signature} if signature else {}
        body = json.dumps({**named, "instances": instances}).encode()
        return self._call(f"{_path(choice)}:predict", body, read)

    def _call(self, path: str, body: bytes | None, read: Callable[[Any], T]) -> Call[T]:
        def parse(data: bytes) -> T:
            try:
                return read(json.loads(data))
            # Something else has the port, or another project's model answers.
            except (ValueError, LookupError, TypeError) as error:
                raise UnexpectedAnswerError(
                    f"{self._address} sent an answer that cannot be read: {data[:80]!r}.", NO_ANSWER
                ) from error

        return Call(path, body, parse)

    def _predictions(self, count: int, version: int | None, answer: Any) -> list[Prediction]:
        return predictions(self._address, count, self._outputs(answer), version)

    def _explanations(self, count: int, version: int | None, answer: Any) -> list[Explanation]:
        return explanations(self._address, count, self._outputs(answer), version)

    def _classes(self, answer: Any) -> tuple[str, ...]:
        return class_names(self._address, self._outputs(answer))

    def _outputs(self, answer: Any) -> dict[str, list[Any]]:
        rows = answer["predictions"]
        if not isinstance(rows[0], dict):
            # A single output comes without its name.
            raise UnexpectedAnswerError(f"{self._address} answered with a single, unnamed output.", OWN_MODEL)
        return {name: [row[name] for row in rows] for name in rows[0]}


def model_url(address: str, model_name: str) -> str:
    """What all addresses about a model begin with."""
    return f"{address}/v1/models/{quote(model_name, safe='')}"


def rest_error(address: str, status: int, body: bytes) -> CallError:
    """The client's error for an answer that is not 200."""
    return call_error(address, CODES.get(status, f"HTTP {status}"), _details(status, body))


def _details(status: int, body: bytes) -> str:
    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        # Not the model server: something else has the port, and its text says what.
        text = body[:256].decode("utf-8", "replace").strip()
        return text or HTTPStatus(status).phrase


def _path(choice: Choice) -> str:
    if choice.version is not None:
        return f"/versions/{choice.version}"
    return "" if choice.label is None else f"/labels/{quote(choice.label, safe='')}"


def _base64(images: Sequence[bytes]) -> list[dict[str, str]]:
    return [{"b64": base64.b64encode(image).decode("ascii")} for image in images]


def _statuses(answer: Any) -> list[VersionStatus]:
    return [
        VersionStatus(
            int(entry["version"]), entry["state"], entry["status"]["error_code"], entry["status"]["error_message"]
        )
        for entry in answer["model_version_status"]
    ]


def _metadata(answer: Any) -> ModelMetadata:
    found = answer["metadata"]["signature_def"]["signature_def"]
    signatures = {name: _signature(definition) for name, definition in found.items()}
    return ModelMetadata(answer["model_spec"]["name"], int(answer["model_spec"]["version"]), signatures)


def _signature(definition: Mapping[str, Any]) -> Signature:
    return Signature(
        {name: _description(info) for name, info in definition["inputs"].items()},
        {name: _description(info) for name, info in definition["outputs"].items()},
    )


def _description(info: Mapping[str, Any]) -> TensorDescription:
    shape = info["tensor_shape"]
    sizes = None if shape["unknown_rank"] else tuple(int(dim["size"]) for dim in shape["dim"])
    return TensorDescription(info["dtype"], sizes)
