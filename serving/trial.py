"""Asking a served version the same images again and again, and keeping how it did."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ml.errors import ServingError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from serving.client import GrpcClient, Prediction

__all__ = ["Answers", "ask", "wait_for_label"]

log = logging.getLogger(__name__)

POLL_SECONDS = 0.2
#: Answers in a row without one that count: nobody is there, and every image would wait for its whole limit.
HOPELESS = 5


@dataclass(frozen=True)
class Answers:
    """How a version did on some images.

    Attributes:
        labels: of the classes, one an image; empty where there was an error. Two versions need not have their classes
            in the same order, so that their numbers cannot be compared.
        milliseconds: float64 [N], from request to answer; NaN where there was an error.
        versions: that answered.
        errors: the first of each kind, by kind.
    """

    labels: list[str]
    milliseconds: NDArray[np.float64]
    versions: frozenset[int] = frozenset()
    errors: dict[str, str] = field(default_factory=dict)

    @property
    def answered(self) -> NDArray[np.bool_]:
        """Which images have an answer, bool [N]."""
        return ~np.isnan(self.milliseconds)

    @property
    def error_share(self) -> float:
        """Of the images; 0 of none."""
        return float(1 - self.answered.mean()) if self.answered.size else 0.0

    @property
    def p95(self) -> float | None:
        """Milliseconds in which 95 of 100 images were answered; None where none was."""
        taken = self.milliseconds[self.answered]
        return float(np.percentile(taken, 95)) if taken.size else None


def ask(client: GrpcClient, images: Sequence[bytes], label: str) -> Answers:
    """Ask for each image by itself; errors are counted and end nothing. An image that is not decoded is an error.

    The client should be one whose calls are probes, or the server may log them as requests of users.
    """
    labels = [""] * len(images)
    milliseconds = np.full(len(images), np.nan)
    versions: set[int] = set()
    errors: dict[str, str] = {}
    failed = 0
    for index, image in enumerate(images):
        started = time.perf_counter()
        try:
            answer = _answer(client, image, label)
        except ServingError as error:
            errors.setdefault(type(error).__name__, str(error))
            failed += 1
            if failed >= HOPELESS:
                break
            continue
        failed = 0
        milliseconds[index] = (time.perf_counter() - started) * 1000
        labels[index] = answer.class_name
        if answer.version is not None:
            versions.add(answer.version)
    return Answers(labels, milliseconds, frozenset(versions), errors)


def _answer(client: GrpcClient, image: bytes, label: str) -> Prediction:
    (answer,) = client.predict([image], label=label)
    if not answer.ok:
        raise ServingError(f"An image of {len(image)} bytes is answered with {answer.status}.")
    return answer


def wait_for_label(client: GrpcClient, label: str, version: int, seconds: float) -> float:
    """Wait until a label names a version at the server.

    Returns:
        How many seconds that took.

    Raises:
        ServingError: it does not within the limit; says what the server has instead.
    """
    started = time.monotonic()
    while True:
        found, problem = _version_of(client, label)
        waited = time.monotonic() - started
        if found == version:
            log.info("%s at %s is version %d after %.1f s", label, client.address, version, waited)
            return waited
        if waited > seconds:
            there = problem or f"there it is version {found}"
            raise ServingError(
                f"{client.address} does not serve version {version} as {label} within {seconds:g} s: {there}; "
                f"{_states(client)}.",
                "See the logs of the model server and of the sync beside it.",
            )
        time.sleep(POLL_SECONDS)


def _version_of(client: GrpcClient, label: str) -> tuple[int | None, str]:
    try:
        return client.metadata(label=label).version, ""
    except ServingError as error:
        return None, error.message


def _states(client: GrpcClient) -> str:
    try:
        states = client.status()
    except ServingError as error:
        return f"it does not tell its versions: {error.message}"
    said = [
        f"version {one.version} {one.state}" + (f" ({one.error_message})" if one.error_message else "")
        for one in states
    ]
    return f"it has {', '.join(said) or 'no versions'}"
