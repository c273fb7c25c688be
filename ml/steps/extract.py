"""Task ``extract``, once a variant: bring the cache of feature maps up to date."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ml.extraction import ensure_features
from ml.features import image_sources
from ml.plan import load_samples

if TYPE_CHECKING:
    from ml.context import Context

__all__ = ["run"]


def run(context: Context, run_id: str, variant: str) -> dict[str, Any]:
    """Extract what the cache lacks of the run's images.

    Returns:
        ``run_id``, ``variant``, ``fingerprint``, ``weights_digest``, ``precision``, ``images``, ``extracted`` and
        ``seconds``.
    """
    images = image_sources(load_samples(context.store, run_id))
    return {"run_id": run_id, **ensure_features(context, context.settings, variant, images)}
