"""Many images asked of one version: in their order, several requests in flight, a bounded number in memory."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml.errors import ServingError
from ml.threads import map_ahead
from serving.client import UNDECODABLE, InvalidRequestError, Prediction

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from serving.client import Client, Signature

__all__ = [
    "TOO_LARGE",
    "UNREADABLE",
    "Item",
    "Row",
    "Target",
    "UnreadableError",
    "file_item",
    "find_target",
    "predict_items",
]

log = logging.getLogger(__name__)

#: Of images that were never asked: a file that cannot be read, or one that is larger than the settings allow.
UNREADABLE, TOO_LARGE = "UNREADABLE", "TOO_LARGE"
#: Images and bytes that one request holds at most; an image that is larger goes alone.
GROUP_IMAGES = 8
GROUP_BYTES = 2**23
#: Requests that are asked at once; of three times as many the images may be in memory.
IN_FLIGHT = 4


class UnreadableError(Exception):
    """An image cannot be had; its row gets ``status`` instead of an answer."""

    def __init__(self, status: str) -> None:
        super().__init__(status)
        self.status = status


@dataclass(frozen=True)
class Item:
    """An image that is not read yet: its name, its size in bytes, and what reads it or raises UnreadableError."""

    name: str
    size: int
    read: Callable[[], bytes]


@dataclass(frozen=True)
class Row:
    """What became of an image; ``prediction`` is None unless it was answered with a class."""

    name: str
    status: str
    prediction: Prediction | None = None

    @property
    def ok(self) -> bool:
        """Whether it was classified."""
        return self.prediction is not None


@dataclass(frozen=True)
class Target:
    """The version that is asked, and what is known of it.

    Attributes:
        version: asked by its number, so that a promotion on the way changes no answer.
        classes: the labels, in the order of the probabilities.
        tells_status: whether it answers for images that do not decode; older exports refuse a request with one.
    """

    version: int
    classes: tuple[str, ...]
    tells_status: bool


def find_target(
    client: Client, version: int | None = None, label: str | None = None, classes: Sequence[str] = ()
) -> Target:
    """Find out which version a label means now, and what it answers.

    Args:
        client: of the server.
        version: of the model; a label is asked unless it is given.
        label: as for :meth:`serving.client.Client.predict`.
        classes: the labels of exports that are too old to list theirs; where they do not fit, classes go by number.

    Raises:
        ServingError: there is no such version, it is no classifier of images, or its classes cannot be known.
    """
    metadata = client.metadata(version, label)
    signature = metadata.signatures.get("serving_default")
    if signature is None or not {"class_name", "probabilities"} <= set(signature.outputs):
        raise ServingError(
            f"Version {metadata.version} of {metadata.model_name} at {client.address} classifies no images: its "
            f"signatures are {', '.join(metadata.signatures)}.",
            "Ask a model that this project exported.",
        )
    listed = "classify" in metadata.signatures
    names = client.classes(metadata.version) if listed else _known_classes(tuple(classes), signature)
    return Target(metadata.version, names, "status" in signature.outputs)


def _known_classes(classes: tuple[str, ...], signature: Signature) -> tuple[str, ...]:
    shape = signature.outputs["probabilities"].shape
    count = shape[-1] if shape else -1
    if count in (-1, len(classes)) and classes:
        return classes
    if count == -1:
        raise ServingError(
            "The model lists neither its classes nor their number.",
            "List them under `classes` in the settings, in the order of its outputs; or export the model anew.",
        )
    log.warning("the model does not list its %d classes, and neither do the settings: they go by number", count)
    return tuple(map(str, range(count)))


def file_item(path: Path, name: str, max_bytes: int) -> Item:
    """An image in a file; one that cannot be read, or has more than ``max_bytes``, is not asked."""
    try:
        size = path.stat().st_size
    except OSError:
        size = 0  # reading says more
    return Item(name, size, lambda: _read_file(path, max_bytes))


def _read_file(path: Path, max_bytes: int) -> bytes:
    try:
        if path.stat().st_size > max_bytes:
            raise UnreadableError(TOO_LARGE)
        return path.read_bytes()
    except OSError as error:
        raise UnreadableError(UNREADABLE) from error


def predict_items(client: Client, target: Target, items: Iterable[Item]) -> Iterator[Row]:
    """Classify images, one row for each in their order; read and asked only a little ahead of who reads the rows.

    Args:
        client: shared by several threads.
        target: of :func:`find_target`.
        items: read in threads.

    Raises:
        ServingError: the server does not answer, or has the version no more.
    """

    def ask(group: list[Item]) -> list[Row]:
        return _ask_group(client, target, group)

    for rows in map_ahead(ask, _groups(items), IN_FLIGHT, "predict"):
        yield from rows


def _groups(items: Iterable[Item]) -> Iterator[list[Item]]:
    group: list[Item] = []
    size = 0
    for item in items:
        if group and (len(group) == GROUP_IMAGES or size + item.size > GROUP_BYTES):
            yield group
            group, size = [], 0
        group.append(item)
        size += item.size
    if group:
        yield group


def _ask_group(client: Client, target: Target, group: Sequence[Item]) -> list[Row]:
    rows: dict[int, Row] = {}
    images: dict[int, bytes] = {}
    for number, item in enumerate(group):
        try:
            images[number] = item.read()
        except UnreadableError as error:
            rows[number] = Row(item.name, error.status)
    answers = _ask(client, target, list(images.values()))
    for number, answer in zip(images, answers, strict=True):
        name = group[number].name
        fine = answer is not None and answer.ok
        rows[number] = Row(name, answer.status if answer else UNDECODABLE, answer if fine else None)
    return [rows[number] for number in range(len(group))]


def _ask(client: Client, target: Target, images: list[bytes]) -> list[Prediction | None]:
    """Answers; None for an image that an export without ``status`` refuses, which it does with all of its request."""
    try:
        return list(client.predict(images, target.version))
    except InvalidRequestError:
        if target.tells_status:
            raise
        if len(images) == 1:
            return [None]
    return [answer for image in images for answer in _ask(client, target, [image])]
