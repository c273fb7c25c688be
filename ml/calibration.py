"""In which precision, and how many images at a time, a backbone is run: measured, not guessed.

The precision is part of what a feature map is, so it is decided once for a backbone and its weights, and kept in the
store: another machine, or a faster day, does not make the cache worthless. The batch is each machine's own.
"""

from __future__ import annotations

import hashlib
import logging
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from ml import layout
from ml.features import features_fingerprint
from ml.machine import describe_machine
from ml.precision import resolve_precision
from ml.storage import dump_json, find_json, put_once, read_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml.config import Settings
    from ml.context import Context

    #: From float32 [N, size, size, 3] to float32 [N, H, W, C].
    Run = Callable[[np.ndarray], np.ndarray]

__all__ = [
    "MIN_COSINE",
    "Batching",
    "Precision",
    "choose_batching",
    "choose_precision",
    "compiled",
    "pooled_cosine",
]

log = logging.getLogger(__name__)

#: bfloat16 is taken only if it leaves the pooled features of every image of the check at least so similar.
MIN_COSINE = 0.999
SECONDS = 0.5
CPU_BATCHES, GPU_BATCHES = (8, 32), (32, 128, 256)


@dataclass(frozen=True)
class Precision:
    """A precision and why it was taken.

    Attributes:
        precision: float32 or bfloat16.
        cosine: smallest cosine, over the images of the check, of features pooled in bfloat16 and in float32; 0
            where bfloat16 is not finite, None where it was not tried.
        images_per_second: by precision; empty where nothing was compared.
        machine: on which that was.
    """

    precision: str
    cosine: float | None
    images_per_second: dict[str, float]
    machine: str


@dataclass(frozen=True)
class Batching:
    """Images at a time, and whether XLA compiles for exactly that number."""

    batch_size: int
    xla: bool


def choose_precision(
    context: Context,
    settings: Settings,
    variant: str,
    weights: str,
    freeze_in: Callable[[str], Any],
    read_sample: Callable[[], np.ndarray],
) -> str:
    """The precision of a variant's feature maps: the configured one, the one decided before, else the faster sound one.

    Args:
        context: the store that keeps the decision.
        settings: of these ``features.precision`` and what decides a feature map.
        variant: its name.
        weights: digest of its weights.
        freeze_in: gives its frozen backbone in a precision.
        read_sample: gives images to try, float32 [N, size, size, 3] in [0, 1].
    """
    if settings.features.precision != "auto":
        return settings.features.precision
    key = layout.calibration_key(variant, features_fingerprint(settings, variant, weights, "auto"), "precision.json")
    decided = find_json(context.store, key)
    if decided is None:
        found = _compare(freeze_in, read_sample)
        log.info(
            "%s: %s, cosine %s, images a second %s", variant, found.precision, found.cosine, found.images_per_second
        )
        put_once(context.store, key, dump_json(asdict(found)))
        decided = read_json(context.store, key)  # another task may have been first
    return str(decided["precision"])


def choose_batching(context: Context, settings: Settings, variant: str, fingerprint: str, function: Any) -> Batching:
    """How many images this machine runs through a backbone at a time: the configured number, else the fastest.

    Args:
        context: the store that keeps what was measured on machines like this.
        settings: of these ``features.batch_size`` and ``images.size``.
        variant: its name.
        fingerprint: of its feature maps.
        function: the frozen backbone.
    """
    gpu = bool(tf.config.list_logical_devices("GPU"))
    if settings.features.batch_size is not None:
        return Batching(settings.features.batch_size, xla=gpu)
    machine = describe_machine()
    name = f"{hashlib.sha256(machine.encode()).hexdigest()[:12]}.json"
    key = layout.calibration_key(variant, fingerprint, name)
    known = find_json(context.store, key)
    if known is None:
        rates = _batch_rates(function, settings.images.size, gpu)
        best = max(rates, key=lambda one: rates[one])
        shown = {f"{one.batch_size}{' XLA' if one.xla else ''}": rate for one, rate in rates.items()}
        known = asdict(best) | {"machine": machine, "images_per_second": shown}
        log.info("%s: batches of %d, images a second %s", variant, best.batch_size, shown)
        put_once(context.store, key, dump_json(known))
    return Batching(known["batch_size"], known["xla"])


def compiled(function: Any, xla: bool) -> Run:
    """A frozen backbone that takes and gives arrays."""
    graph = tf.function(function, jit_compile=True) if xla else function
    return lambda images: np.asarray(graph(tf.constant(images)))


def pooled_cosine(one: np.ndarray, other: np.ndarray) -> float:
    """Smallest cosine, over images, of the features of two sets of maps [N, H, W, C] pooled over the positions."""
    first, second = (maps.mean(axis=(1, 2), dtype=np.float64) for maps in (one, other))
    norms = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return float(((first * second).sum(axis=1) / np.maximum(norms, np.finfo(np.float64).tiny)).min())


def _compare(freeze_in: Callable[[str], Any], read_sample: Callable[[], np.ndarray]) -> Precision:
    machine = describe_machine()
    if resolve_precision("auto") == "float32":
        return Precision("float32", None, {}, machine)
    sample = read_sample()
    runs = {name: compiled(freeze_in(name), xla=False) for name in ("float32", "bfloat16")}
    maps = {name: run(sample) for name, run in runs.items()}
    finite = bool(np.isfinite(maps["bfloat16"]).all())
    cosine = pooled_cosine(maps["bfloat16"], maps["float32"]) if finite else 0.0
    rates = {name: _rate(run, sample) for name, run in runs.items()}
    better = cosine >= MIN_COSINE and rates["bfloat16"] > rates["float32"]
    return Precision("bfloat16" if better else "float32", cosine, rates, machine)


def _batch_rates(function: Any, size: int, gpu: bool) -> dict[Batching, float]:
    # XLA on processors compiles for seconds what then runs ten times slower.
    choices = [Batching(count, xla=False) for count in (GPU_BATCHES if gpu else CPU_BATCHES)]
    choices += [Batching(count, xla=True) for count in GPU_BATCHES if gpu]
    generator, rates = np.random.default_rng(0), {}
    for one in choices:
        images = generator.random((one.batch_size, size, size, 3), np.float32)
        try:
            rates[one] = _rate(compiled(function, one.xla), images)
        except tf.errors.ResourceExhaustedError:
            log.info("batches of %d do not fit into this machine's memory", one.batch_size)
            if one == choices[0]:
                raise
    return rates


def _rate(run: Run, images: np.ndarray) -> float:
    run(images)
    started, done = time.perf_counter(), 0
    while True:
        run(images)
        done += len(images)
        seconds = time.perf_counter() - started
        if seconds >= SECONDS:
            return done / seconds
