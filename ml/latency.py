"""How long a model takes for one image: the figure that a client waits for."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Latency", "measure_latency", "time_calls"]

CALLS = 40
#: Calls before that count nothing: the first one builds the graph, the next ones find their memory.
WARM_UP = 3


class Latency(NamedTuple):
    """Milliseconds for one image: the median, and what 95 of 100 calls stay below."""

    p50: float
    p95: float


def measure_latency(model: Callable[..., Any], size: int) -> Latency:
    """Time a model on this machine, one image a call: no decoding, no network, no other caller.

    Args:
        model: float32 [1, size, size, 3] in [0, 1] to a dictionary with ``probabilities``.
        size: of the image.
    """
    import tensorflow as tf

    answer = tf.function(lambda images: model(images)["probabilities"])
    image = tf.constant(np.random.default_rng(0).random((1, size, size, 3), np.float32))
    return time_calls(lambda: answer(image).numpy())


def time_calls(call: Callable[[], object]) -> Latency:
    """Time a call that answers one image, after a few that count nothing."""
    times = [_milliseconds(call) for _ in range(WARM_UP + CALLS)]
    p50, p95 = np.percentile(times[WARM_UP:], (50, 95))
    return Latency(float(p50), float(p95))


def _milliseconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return (time.perf_counter() - started) * 1000
