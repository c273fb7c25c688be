"""Extraction: the frozen backbone's pass over the images that the cache of feature maps lacks."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from ml import layout
from ml.backbones import build_backbone, weights_digest
from ml.features import extract_missing, features_fingerprint
from ml.precision import resolve_precision

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import keras

    from ml.config import Settings
    from ml.context import Context
    from ml.features import ImageSource

__all__ = ["compile_backbone", "ensure_features"]

log = logging.getLogger(__name__)


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
