"""What the clients ask, whatever carries it: each protocol makes bytes of a question and an answer of bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from serving.client._errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Callable

    from serving.client._answers import Explanation, ModelMetadata, Prediction, VersionStatus
    from serving.client._images import Encoded, Pixels

__all__ = ["Call", "Choice", "Language", "choose"]

T = TypeVar("T")


@dataclass(frozen=True)
class Choice:
    """Which version is asked: by its number, by a label, or the highest that is loaded when both are None."""

    version: int | None = None
    label: str | None = None


@dataclass(frozen=True)
class Call(Generic[T]):
    """One call.

    Attributes:
        path: gRPC's method, or what follows the model in REST's address.
        body: the request; None is a GET.
        read: makes the result of the answer's bytes; raises UnexpectedAnswerError.
    """

    path: str
    body: bytes | None
    read: Callable[[bytes], T]


class Language(Protocol):
    """A protocol's words for what can be asked."""

    def predict(self, images: Encoded | Pixels, choice: Choice) -> Call[list[Prediction]]:
        """Classify; pixels by ``serving_tensor``, encoded images by ``serving_default``."""

    def explain(self, images: Encoded, choice: Choice) -> Call[list[Explanation]]:
        """Classify and say where the attention lies."""

    def classes(self, choice: Choice) -> Call[tuple[str, ...]]:
        """The labels in the order of the probabilities."""

    def status(self) -> Call[list[VersionStatus]]:
        """The versions that the server has seen."""

    def metadata(self, choice: Choice) -> Call[ModelMetadata]:
        """A version's signatures."""


def choose(version: int | None, label: str | None, default: str | None) -> Choice:
    """What a call's arguments mean; an empty label is none, not even the default.

    Raises:
        InvalidRequestError: a version and a label are given: the protocol has room for one.
    """
    if version is not None and label:
        raise InvalidRequestError(f"Both version {version} and label '{label}' are asked.", "Ask one of them.")
    if version is not None:
        return Choice(version=version)
    return Choice(label=(default if label is None else label) or None)
