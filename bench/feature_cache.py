"""What a retrain pays for feature maps after a few images arrived, against extracting all of them again."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from ml.config import Settings
from ml.context import Context
from ml.features import ImageSource
from ml.phantom import CLASSES, draw_phantom
from ml.storage import open_store

if TYPE_CHECKING:
    from bench.record import Measured

__all__ = ["measure"]

IMAGES, ARRIVALS = 200, 2
VARIANT = "mobilenet"


def measure() -> Measured:
    """Extract 200 images, then again with two more, then with nothing new."""
    from ml.extraction import ensure_features

    with tempfile.TemporaryDirectory() as folder:
        context = _context(Path(folder))
        images = _store_images(context, IMAGES + ARRIVALS)
        # Once beforehand: the first extraction in a process also pays for imports and tracing.
        ensure_features(context, _other_weights(context), VARIANT, images[:8])
        cold = ensure_features(context, context.settings, VARIANT, images[:IMAGES])
        arrived = ensure_features(context, context.settings, VARIANT, images)
        unchanged = ensure_features(context, context.settings, VARIANT, images)
    return {
        "question": f"{VARIANT}: what do feature maps cost after 1 % new images, and after none?",
        "baseline": f"extracting all {IMAGES} images, as a pipeline without a cache does at every retrain",
        "figures": {
            "all_seconds": cold["seconds"],
            "one_per_cent_new_seconds": arrived["seconds"],
            "nothing_new_seconds": unchanged["seconds"],
            "extracted_of_one_per_cent_new_images": arrived["extracted"],
            "extracted_of_nothing_new_images": unchanged["extracted"],
        },
        "ratios": {
            "one_per_cent_new": cold["seconds"] / arrived["seconds"],
            "nothing_new": cold["seconds"] / unchanged["seconds"],
        },
    }


def _context(folder: Path) -> Context:
    settings = Settings.model_validate(
        {"store": {"url": str(folder / "store"), "cache_dir": folder / "cache"}, "weights": "random"}
    )
    return Context(settings, open_store(settings.store))


def _other_weights(context: Context) -> Settings:
    weights = context.settings.weights.model_copy(update={"seed": context.settings.weights.seed + 1})
    return context.settings.model_copy(update={"weights": weights})


def _store_images(context: Context, count: int) -> list[ImageSource]:
    import cv2

    images = []
    for index in range(count):
        pixels, _ = draw_phantom(CLASSES[index % len(CLASSES)], index)
        key = f"images/{index:04d}.png"
        context.store.put(key, cv2.imencode(".png", pixels)[1].tobytes())
        images.append(ImageSource(f"{index:064d}", key))
    return images
