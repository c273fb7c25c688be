"""From what the local server answers to the request log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from serving.client import OK, Prediction

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from serving.request_log import RequestLog
    from serving.server.observed import Observation

__all__ = ["answer_observer"]

SIGNATURE, IMAGES = "serving_default", "image_bytes"
OUTPUTS = {"probabilities", "class_id", "class_name"}


def answer_observer(log: RequestLog, model_name: str) -> Callable[[Observation], None]:
    """An observer that logs a sample of what a model's signature ``serving_default`` answers.

    Probes do not come this far: they are not spread as users' requests are, and the monitor would take them for drift.
    """

    def observe(seen: Observation) -> None:
        # A model of another origin may have other outputs; there is nothing to log of it.
        if seen.model_name != model_name or seen.signature != SIGNATURE or OUTPUTS - seen.outputs.keys():
            return
        chosen = log.sample(len(seen.outputs["class_id"]))
        if chosen:
            images = np.asarray(seen.inputs[IMAGES]).reshape(-1)
            for index in chosen:
                # The server knows which version answered; by which label it was asked does not come this far.
                log.take(bytes(images[index]), _prediction(seen.outputs, index, seen.version), None, seen.milliseconds)

    return observe


def _prediction(outputs: Mapping[str, NDArray[Any]], index: int, version: int) -> Prediction:
    status = _text(outputs["status"][index]) if "status" in outputs else OK
    probabilities = tuple(map(float, outputs["probabilities"][index]))
    name = _text(outputs["class_name"][index])
    return Prediction(int(outputs["class_id"][index]), name, probabilities, version, status)


def _text(value: bytes | str) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
