"""What a model server answers, whatever the protocol."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ml.errors import ServingError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "IMAGE_INPUT",
    "ModelMetadata",
    "Prediction",
    "Signature",
    "TensorDescription",
    "VersionStatus",
    "address_of",
    "predictions",
    "serving_error",
]

#: Input of ``serving_default``: encoded JPEG or PNG bytes, string [N].
IMAGE_INPUT = "image_bytes"
#: Its outputs, float32 [N, C], int64 [N] and string [N].
PROBABILITIES, CLASS_ID, CLASS_NAME = "probabilities", "class_id", "class_name"
NO_ANSWER = "Is the model server up? See `make status`."
REMEDIES = {
    "INVALID_ARGUMENT": "Send encoded JPEG or PNG images to a model of this project.",
    "FAILED_PRECONDITION": "Ask a model of this project: its signature is serving_default.",
    "NOT_FOUND": "Has a version of this model been published and loaded? See `make status`.",
    "DEADLINE_EXCEEDED": "Send fewer images at a time, raise `serving.timeout_seconds`, or see what loads the server.",
    "RESOURCE_EXHAUSTED": "Send fewer images at a time.",
    "UNAVAILABLE": NO_ANSWER,
}


@dataclass(frozen=True)
class Prediction:
    """One image's answer; ``version`` is None over REST, which tells only what it was asked for."""

    class_id: int
    class_name: str
    probabilities: tuple[float, ...]
    version: int | None


@dataclass(frozen=True)
class VersionStatus:
    """A version at the server; ``state`` END with an ``error_code`` other than OK is a load that failed."""

    version: int
    state: str
    error_code: str
    error_message: str


@dataclass(frozen=True)
class TensorDescription:
    """Dtype as the protocol names it, e.g. ``DT_FLOAT``; -1 in the shape is any size, a shape of None any rank."""

    dtype: str
    shape: tuple[int, ...] | None


@dataclass(frozen=True)
class Signature:
    """Inputs and outputs by name."""

    inputs: Mapping[str, TensorDescription]
    outputs: Mapping[str, TensorDescription]


@dataclass(frozen=True)
class ModelMetadata:
    """A version's signatures by name."""

    model_name: str
    version: int
    signatures: Mapping[str, Signature]


def predictions(
    address: str, count: int, outputs: Mapping[str, Sequence[Any]], version: int | None
) -> list[Prediction]:
    """Pair the outputs of ``serving_default`` image by image.

    Raises:
        ServingError: an output is missing, or does not hold one value for each of ``count`` images.
    """
    columns = [outputs.get(name) for name in (CLASS_ID, CLASS_NAME, PROBABILITIES)]
    if any(column is None or len(column) != count for column in columns):
        sizes = {name: len(values) for name, values in outputs.items()}
        raise ServingError(
            f"{address} answered {count} images with outputs of sizes {sizes}, and not with one value each of "
            f"{CLASS_ID}, {CLASS_NAME} and {PROBABILITIES}.",
            "Ask a model that this project exported.",
        )
    return [
        Prediction(int(class_id), str(class_name), tuple(map(float, probabilities)), version)
        for class_id, class_name, probabilities in zip(*(column or () for column in columns), strict=True)
    ]


def serving_error(address: str, code: str, details: str) -> ServingError:
    """The error for a call that failed with one of the protocol's codes, with what to do about that code."""
    return ServingError(f"{address}: {code}: {details}", REMEDIES.get(code, "See the model server's log."))


def address_of(host: str, port: int) -> str:
    """Host and port as one text, also for a numeric IPv6 host."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
