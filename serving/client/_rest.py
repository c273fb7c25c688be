"""The REST client."""

from __future__ import annotations

import base64
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

import requests

from ml.errors import ServingError
from serving.client._answers import (
    NO_ANSWER,
    ModelMetadata,
    Prediction,
    Signature,
    TensorDescription,
    VersionStatus,
    address_of,
    predictions,
    serving_error,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ml.config import Settings

__all__ = ["RestClient"]

#: Remedies go by the protocol's codes, of which HTTP keeps less.
CODES = {
    400: "INVALID_ARGUMENT",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


class RestClient:
    """Asks one model of a server; one thread's, and closed by ``with``.

    Args:
        host: of the server.
        port: its REST port.
        model_name: of the model.
        timeout_seconds: for connecting, and for each wait for an answer.
    """

    def __init__(self, host: str, port: int, model_name: str, timeout_seconds: float = 30.0) -> None:
        self.address = f"http://{address_of(host, port)}"
        self._url = f"{self.address}/v1/models/{quote(model_name, safe='')}"
        self._timeout_seconds = timeout_seconds
        self._session = requests.Session()
        # A proxy for the way out of a company is no way to a server inside it.
        self._session.trust_env = False

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """A client of the server that the settings name."""
        serving = settings.serving
        return cls(serving.host, serving.rest_port, settings.model_name, serving.timeout_seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

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
        instances = [{"b64": base64.b64encode(image).decode("ascii")} for image in images]
        answer = self._call("POST", f"{_choice(version)}:predict", {"instances": instances})
        rows = answer.get("predictions", [])
        if not rows or not isinstance(rows[0], dict):
            return predictions(self.address, len(images), {}, version)
        outputs = {name: [row[name] for row in rows] for name in rows[0]}
        return predictions(self.address, len(images), outputs, version)

    def status(self) -> list[VersionStatus]:
        """The versions the server has seen, from the highest to the lowest.

        Raises:
            ServingError: no answer in time, or no such model.
        """
        answer = self._call("GET", "")
        return [
            VersionStatus(
                int(entry["version"]), entry["state"], entry["status"]["error_code"], entry["status"]["error_message"]
            )
            for entry in answer["model_version_status"]
        ]

    def metadata(self, version: int | None = None) -> ModelMetadata:
        """The signatures of a version, of the newest that is loaded by default.

        Raises:
            ServingError: no answer in time, or no such model.
        """
        answer = self._call("GET", f"{_choice(version)}/metadata")
        found = answer["metadata"]["signature_def"]["signature_def"]
        signatures = {name: _signature(definition) for name, definition in found.items()}
        return ModelMetadata(answer["model_spec"]["name"], int(answer["model_spec"]["version"]), signatures)

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        try:
            response = self._session.request(method, self._url + path, json=body, timeout=self._timeout_seconds)
        except requests.Timeout as error:
            raise serving_error(
                self.address, "DEADLINE_EXCEEDED", f"nothing within {self._timeout_seconds:g} s"
            ) from error
        except requests.RequestException as error:
            raise ServingError(f"{self.address} does not answer: {error}.", NO_ANSWER) from error
        if response.status_code != HTTPStatus.OK:
            code = CODES.get(response.status_code, f"HTTP {response.status_code}")
            raise serving_error(self.address, code, _message(response))
        try:
            return response.json()
        except requests.JSONDecodeError as error:
            raise ServingError(f"{self.address} did not answer in JSON: {error}.", NO_ANSWER) from error


def _choice(version: int | None) -> str:
    return "" if version is None else f"/versions/{version}"


def _message(response: requests.Response) -> str:
    try:
        return str(response.json()["error"])
    except (requests.JSONDecodeError, KeyError, TypeError):
        # Not the model server: something else has the port, and its text says what.
        return response.text[:256]


def _signature(definition: Mapping[str, Any]) -> Signature:
    return Signature(
        {name: _description(info) for name, info in definition["inputs"].items()},
        {name: _description(info) for name, info in definition["outputs"].items()},
    )


def _description(info: Mapping[str, Any]) -> TensorDescription:
    shape = info["tensor_shape"]
    sizes = None if shape["unknown_rank"] else tuple(int(dim["size"]) for dim in shape["dim"])
    return TensorDescription(info["dtype"], sizes)
