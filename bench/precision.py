"""How much faster the backbones run in the precision that ``features.precision: auto`` picks here."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from ml.backbones import build_backbone
from ml.config import Settings
from ml.precision import resolve_precision

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.record import Measured

__all__ = ["measure"]

BATCH, BATCHES = 32, 2


def measure() -> Measured:
    """Run each variant over the same batches in float32 and in the precision picked."""
    settings = Settings.model_validate({"weights": "random"})
    chosen = resolve_precision("auto")
    size = settings.images.size
    batch = np.random.default_rng(0).random((BATCH, size, size, 3), np.float32)
    figures: dict[str, float] = {}
    ratios: dict[str, float] = {}
    for variant in settings.variants:
        rates = {precision: _rate(settings, variant, precision, batch) for precision in ("float32", chosen)}
        figures |= {f"{variant}_{precision}_images_per_second": rate for precision, rate in rates.items()}
        ratios[f"{variant}_{chosen}"] = rates[chosen] / rates["float32"]
    return {
        "question": f"What does {chosen}, which `auto` picks on this machine, gain in extraction?",
        "baseline": "the same backbones in float32",
        "figures": figures,
        "ratios": ratios,
    }


def _rate(settings: Settings, variant: str, precision: str, batch: np.ndarray) -> float:
    run = _compiled(settings, variant, precision)
    run(batch)
    started = time.perf_counter()
    for _ in range(BATCHES):
        run(batch)
    return BATCHES * len(batch) / (time.perf_counter() - started)


def _compiled(settings: Settings, variant: str, precision: str) -> Callable[[np.ndarray], np.ndarray]:
    from ml.extraction import compile_backbone

    return compile_backbone(build_backbone(settings, variant, precision))
