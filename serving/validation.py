"""Infra validation: a fresh model server must load an exported model and answer from it, before it is published."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ml import layout
from ml.errors import DataError
from serving.answer_checks import check_answers, check_broken
from serving.fresh_server import fresh_server
from serving.signature_calls import ask_all, ask_broken

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["InfraValidation", "validate_saved_model"]

log = logging.getLogger(__name__)

BROKEN_IMAGE = b"This is no image."


@dataclass(frozen=True)
class InfraValidation:
    """What a fresh server made of an exported model.

    Attributes:
        images: that were asked of every signature.
        tolerance: largest difference in probability that was allowed.
        differences: the largest that was found, by signature.
        load_seconds: from the start of the process until the model was available.
        peak_memory_mb: largest resident memory of the server, 10^6 bytes; None where the system does not say.
        latency_ms_p50: of requests for one image, the median.
        latency_ms_p95: what 95 of 100 stay below.
        seconds: that all of it took.
    """

    images: int
    tolerance: float
    differences: dict[str, float]
    load_seconds: float
    peak_memory_mb: float | None
    latency_ms_p50: float
    latency_ms_p95: float
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)

    def __str__(self) -> str:
        """As a log tells it."""
        memory = "" if self.peak_memory_mb is None else f", at most {self.peak_memory_mb:.0f} MB"
        return (
            f"loaded in {self.load_seconds:.1f} s{memory}, {self.images} images, p95 {self.latency_ms_p95:.1f} ms, "
            f"largest difference {max(self.differences.values()):.1e}"
        )


def validate_saved_model(
    folder: Path,
    model_name: str,
    images: Sequence[bytes],
    expected: NDArray[np.float32],
    *,
    tolerance: float,
    command: Sequence[str] | None = None,
    timeout_seconds: float = 300.0,
) -> InfraValidation:
    """Serve an exported model from a process of its own, and compare what it answers with what it answered before.

    Every signature is asked for all images over gRPC, ``serving_default`` over REST besides, and once with an image
    that cannot be decoded. The process is ended whatever happens.

    Args:
        folder: as :func:`ml.export.export_model` wrote it.
        model_name: that it will be served under.
        images: encoded, one at least.
        expected: float32 [N, C], offline probabilities of these images.
        tolerance: largest difference in probability.
        command: that starts the server, as :func:`serving.fresh_server.fresh_server` takes it.
        timeout_seconds: for the server to start and load the model.

    Raises:
        ServingError: the server does not start, does not load the model, or a request fails; with its last lines.
        DataError: it answers otherwise than before.
        ConfigError: the command has placeholders that are none.
    """
    if not images or len(images) != len(expected):
        raise DataError(
            f"{len(images)} images and {len(expected)} rows of probabilities cannot be compared.",
            "Give a row for each image, and one image at least.",
        )
    size = json.loads((folder / layout.SERVING_FACTS).read_bytes())["size"]
    labels = (folder / layout.SERVING_LABELS).read_text().splitlines()
    started = time.monotonic()
    with fresh_server(folder, model_name, command) as server:
        load_seconds = server.wait(timeout_seconds)
        answers = ask_all(server, images, size)
        differences = check_answers(answers, expected, labels, tolerance)
        check_broken(ask_broken(server, images[0], BROKEN_IMAGE), expected[0], tolerance)
        memory = server.peak_memory()
    p50, p95 = np.percentile(answers["serving_default"].milliseconds, (50, 95))
    found = InfraValidation(
        images=len(images),
        tolerance=tolerance,
        differences=differences,
        load_seconds=load_seconds,
        peak_memory_mb=None if memory is None else memory / 1e6,
        latency_ms_p50=float(p50),
        latency_ms_p95=float(p95),
        seconds=time.monotonic() - started,
    )
    log.info("a fresh server loads it and answers as before: %s", found)
    return found
