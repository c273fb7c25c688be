"""Task ``extract``, once a variant: bring the cache of feature maps up to date."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from ml import layout
from ml.backbones import build_backbone, resolve_precision, weights_digest
from ml.features import ImageSource, extract_missing, features_fingerprint, image_sources
from ml.steps.split import load_samples

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import keras

    from ml.config import Settings
    from ml.context import Context

__all__ = ["compile_backbone", "ensure_features", "run"]

log = logging.getLogger(__name__)


def run(context: Context, run_id: str, variant: str) -> dict[str, Any]:
    """Extract what the cache lacks of the run's images.

    Returns:
        ``run_id``, ``variant``, ``fingerprint``, ``weights_digest``, ``precision``, ``images``, ``extracted`` and
        ``seconds``.
    """
    images = image_sources(load_samples(context.store, run_id))
    return {"run_id": run_id, **ensure_features(context, context.settings, variant, images)}


def ensure_features(
    context: Context, settings: Settings, variant: str, images: Sequence[ImageSource]
) -> dict[str, Any]:
    """Bring the cache up to date for a variant as some settings, today's or a champion's, describe it."""
    started = time.monotonic()
    precision = resolve_precision(settings.features.precision)
    backbone = build_backbone(settings, variant, precision)
    digest = weights_digest(backbone)
    fingerprint = features_fingerprint(settings, variant, digest, precision)
    prefix = layout.features_prefix(variant, fingerprint)
    extracted = extract_missing(context.store, prefix, images, compile_backbone(backbone), settings)
    seconds = time.monotonic() - started
    log.info(
        "%s: %d images extracted, %d already cached, %s, %.1f s, %s",
        variant,
        extracted,
        len(images) - extracted,
        precision,
        seconds,
        context.store.uri(prefix),
    )
    return {
        "variant": variant,
        "fingerprint": fingerprint,
        "weights_digest": digest,
        "precision": precision,
        "images": len(images),
        "extracted": extracted,
        "seconds": seconds,
    }


def compile_backbone(backbone: keras.Model) -> Callable[[np.ndarray], np.ndarray]:
    """A backbone as one graph: float32 [N, size, size, 3] to float32 [N, H, W, C]."""
    import tensorflow as tf

    function = tf.function(lambda batch: backbone(batch, training=False), reduce_retracing=True)
    return lambda batch: np.asarray(function(tf.constant(batch)))
