"""What a model server answers, whatever the protocol."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from serving.client._errors import UnexpectedAnswerError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

__all__ = [
    "CLASSES",
    "EXAMPLES_INPUT",
    "OWN_MODEL",
    "EXAMPLES",
    "EXPLAIN",
    "IMAGE_INPUT",
    "OK",
    "PIXELS_INPUT",
    "TENSOR",
    "UNDECODABLE",
    "Explanation",
    "ModelMetadata",
    "Prediction",
    "Signature",
    "TensorDescription",
    "VersionStatus",
    "address_of",
    "class_names",
    "explanations",
    "predictions",
]

#: Input of ``serving_default`` and ``explain``: encoded JPEG or PNG bytes, string [N].
IMAGE_INPUT = "image_bytes"
#: Input of ``serving_tensor``, float32 [N, S, S, 3] in [0, 1]; and of ``classify``, serialised tf.Examples.
PIXELS_INPUT, EXAMPLES_INPUT = "images", "inputs"
TENSOR, EXPLAIN, EXAMPLES = "serving_tensor", "explain", "classify"
#: Outputs, float32 [N, C], int64 [N], string [N], string [N] and float32 [N, H, W].
PROBABILITIES, CLASS_ID, CLASS_NAME = "probabilities", "class_id", "class_name"
STATUS, ATTENTION = "status", "attention"
#: Output of ``classify``: string [N, C].
CLASSES = "classes"
#: An image's own status: answered, or no JPEG or PNG that decodes.
OK, UNDECODABLE = "OK", "UNDECODABLE"
OWN_MODEL = "Ask a model that this project exported."


@dataclass(frozen=True)
class Prediction:
    """One image's answer.

    Attributes:
        class_id: the likeliest class; -1 where the image is not ``ok``.
        class_name: its label; empty where the image is not ``ok``.
        probabilities: of all classes, in the model's order; all 0 where the image is not ``ok``.
        version: that answered; None over REST, which tells only what it was asked for.
        status: "OK" or "UNDECODABLE": no JPEG or PNG that decodes.
    """

    class_id: int
    class_name: str
    probabilities: tuple[float, ...]
    version: int | None
    status: str = OK

    @property
    def ok(self) -> bool:
        """Whether the image was classified."""
        return self.status == OK

    @property
    def probability(self) -> float:
        """Of the likeliest class; 0 where the image is not ``ok``."""
        return max(self.probabilities, default=0.0)


@dataclass(frozen=True, eq=False)
class Explanation:
    """One image's answer, and where the attention lies: float32 [H, W] with sum 1; 0 where the image is not ``ok``."""

    prediction: Prediction
    attention: NDArray[np.float32]


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
    """Pair a signature's outputs image by image. Exports without ``status`` answer for images that decode only.

    Raises:
        UnexpectedAnswerError: an output is missing, or does not hold one value for each of ``count`` images.
    """
    columns = _columns(address, count, outputs, (CLASS_ID, CLASS_NAME, PROBABILITIES))
    statuses = _columns(address, count, outputs, (STATUS,))[0] if STATUS in outputs else [OK] * count
    return [
        Prediction(int(class_id), str(class_name), tuple(map(float, probabilities)), version, str(status))
        for class_id, class_name, probabilities, status in zip(*columns, statuses, strict=True)
    ]


def explanations(
    address: str, count: int, outputs: Mapping[str, Sequence[Any]], version: int | None
) -> list[Explanation]:
    """Pair the outputs of ``explain`` image by image; raises as :func:`predictions` does."""
    (maps,) = _columns(address, count, outputs, (ATTENTION,))
    answers = predictions(address, count, outputs, version)
    return [Explanation(answer, np.asarray(one, np.float32)) for answer, one in zip(answers, maps, strict=True)]


def class_names(address: str, outputs: Mapping[str, Sequence[Any]]) -> tuple[str, ...]:
    """The labels of the one image that ``classify`` was asked; raises as :func:`predictions` does."""
    ((names,),) = _columns(address, 1, outputs, (CLASSES,))
    return tuple(_text(name) for name in names)


def _columns(
    address: str, count: int, outputs: Mapping[str, Sequence[Any]], names: tuple[str, ...]
) -> list[Sequence[Any]]:
    columns = [outputs[name] for name in names if name in outputs]
    if len(columns) < len(names) or any(len(column) != count for column in columns):
        sizes = {name: len(values) for name, values in outputs.items()}
        raise UnexpectedAnswerError(
            f"{address} answered {count} images with outputs of sizes {sizes}, and not with one value each of "
            f"{', '.join(names)}.",
            OWN_MODEL,
        )
    return columns


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def address_of(host: str, port: int) -> str:
    """Host and port as one text, also for a numeric IPv6 host."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
