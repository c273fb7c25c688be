"""Heads and backbones on a GPU, or on whatever Keras's backend computes on, against another machine's processor.

``python -m bench.accelerator reference FILE`` writes what this machine computes and how long it takes;
``python -m bench.accelerator against FILE``, elsewhere, measures there, compares, and writes
bench/results/accelerator.json. ``KERAS_BACKEND`` chooses between TensorFlow, JAX and PyTorch; the two sides need not
have the same. ``backbone NAME`` and ``compare FILE`` print JSON, from processes of their own: a peak of memory is a
process's, and so is whether NVIDIA's libraries round float32 to TF32.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from bench.device import describe_device, forward, peak_gib, wait_for
from bench.fitting import CHANNELS, EPOCHS, IMAGES, fit_head
from bench.record import ROOT, write_result
from bench.reference import PRECISIONS, compute_all, deviation, draw_images, drawn_backbone
from ml.config import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bench.record import Measured

__all__ = ["measure", "write_reference"]

BATCHES = (32, 128, 256)
SECONDS, REPEATS = 0.4, 3
#: Passes that are handed to the device before their results are waited for.
AHEAD = 8
#: For NVIDIA's libraries and for JAX, which has kernels of its own.
WITHOUT_TF32 = {"NVIDIA_TF32_OVERRIDE": "0", "JAX_DEFAULT_MATMUL_PRECISION": "highest"}


def write_reference(path: Path) -> None:
    """Write everything that :func:`measure` compares with: a few megabytes."""
    images = draw_images()
    found = dict(compute_all(images))
    found["images"] = images
    found["machine"] = np.asarray(json.dumps(describe_device()))
    for name, value in _fits().items():
        found[name] = np.asarray(value)
    np.savez_compressed(path, **found)  # type: ignore[arg-type]


def measure(path: Path) -> Measured:
    """Compare with a reference, train heads and time backbones.

    Args:
        path: of what :func:`write_reference` wrote.
    """
    with np.load(path) as file:
        reference = dict(file)
    # Other processes first, as long as this one has not taken the device's memory.
    exact = _apart("compare", str(path), WITHOUT_TF32)
    figures = {f"without_tf32_{name}": value for name, value in exact.items() if "_float32_" in name}
    for variant in Settings().variants:
        figures |= _apart("backbone", variant)
    figures |= _fits() | _peak("heads")
    figures |= _deviations(reference)
    machine = json.loads(str(reference["machine"]))
    fitted = [name for name in figures if name in reference]
    return {
        "question": "What do heads and backbones with random weights compute on this device, and how fast? Deviations "
        "are norms of differences from float32 on the baseline's machine, as shares. A head has "
        f"{IMAGES:,} drawn maps and {EPOCHS} epochs. Rates are images a second at 224 x 224, from the device's memory, "
        "and from the processor's and back.",
        "baseline": f"the same heads with {machine['backend']} on {machine['device']}",
        "figures": figures | {f"baseline_{name}": float(reference[name]) for name in fitted},
        "ratios": {
            name.removesuffix("_seconds"): float(reference[name]) / figures[name]
            for name in fitted
            if name.endswith("_epoch_seconds")
        },
    }


def _fits() -> dict[str, float]:
    figures: dict[str, float] = {}
    for grid, channels in CHANNELS.items():
        for precision in PRECISIONS:
            fitted = fit_head(channels, precision)
            figures |= {f"{grid}_{precision}_{name}": value for name, value in fitted.items()}
            _say(f"{grid} {precision}: {fitted}")
    return figures


def _deviations(reference: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Of both precisions here, and of the other machine's own bfloat16, from float32 there."""
    found = dict(compute_all(reference["images"]))
    if unlike := [name for name in found if name.endswith("_digest") and found[name] != reference[name]]:
        raise ValueError(f"Weights differ from those of the reference: {', '.join(unlike)}.")
    figures = {}
    for name in found.keys() - {name for name in found if name.endswith("_digest")}:
        expected = reference[name.replace("_bfloat16_", "_float32_")]
        figures[f"{name}_deviation"] = deviation(found[name], expected)
        if "_bfloat16_" in name:
            figures[f"baseline_{name}_deviation"] = deviation(reference[name], expected)
    return dict(sorted(figures.items()))


def _apart(action: str, argument: str, variables: Mapping[str, str] | None = None) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.accelerator", action, argument]
    environment = {**os.environ, **(variables or {})}
    output = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout
    figures: dict[str, float] = json.loads(output.splitlines()[-1])
    _say(json.dumps({name: float(f"{value:.3g}") for name, value in figures.items()}))
    return figures


def _backbone(variant: str) -> dict[str, float]:
    figures: dict[str, float] = {}
    for precision in reversed(PRECISIONS):  # a peak is of all that was before: that of float32 is higher
        model = drawn_backbone(variant, precision)
        run = forward(model)
        for count in BATCHES:
            images = np.random.default_rng(count).random((count, 224, 224, 3), np.float32)
            name = f"{variant}_{precision}_{count}"
            there = partial(run, keras.ops.convert_to_tensor(images))
            figures[f"{name}_images_per_second"] = count * _rate(there, AHEAD)
            figures[f"{name}_from_memory_images_per_second"] = count * _rate(partial(_to_and_fro, run, images), 1)
        figures |= _peak(f"{variant}_{precision}")
    return figures


def _peak(name: str) -> dict[str, float]:
    peak = peak_gib()
    return {} if peak is None else {f"{name}_peak_gib": peak}


def _to_and_fro(run: Callable[[Any], Any], images: np.ndarray) -> Any:
    return keras.ops.convert_to_numpy(run(keras.ops.convert_to_tensor(images)))


def _rate(run: Callable[[], Any], ahead: int) -> float:
    """Passes a second, the median of some repeats, after others that also compile."""
    for _ in range(2):
        wait_for(run())
    rates = []
    for _ in range(REPEATS):
        started, done = time.perf_counter(), 0
        while time.perf_counter() - started < SECONDS:
            for _ in range(ahead):
                last = run()
            wait_for(last)
            done += ahead
        rates.append(done / (time.perf_counter() - started))
    return median(rates)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201


def main(action: str, argument: str) -> None:
    """Do one of the things that the module says."""
    if action == "reference":
        write_reference(Path(argument))
    elif action == "against":
        _say(str(write_result("accelerator", measure(Path(argument)), describe_device())))
    elif action == "backbone":
        print(json.dumps(_backbone(argument)))  # noqa: T201 - what the bench reads
    elif action == "compare":
        with np.load(argument) as file:
            print(json.dumps(_deviations(dict(file))))  # noqa: T201 - likewise
    else:
        raise SystemExit(__doc__)


if __name__ == "__main__":
    main(*sys.argv[1:3])
