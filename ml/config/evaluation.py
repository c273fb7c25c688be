"""Section ``evaluation``: how closely a run's models are looked at."""

from __future__ import annotations

from pydantic import Field

from ml.config.base import Fraction, Section

__all__ = ["EvaluationSettings"]


class EvaluationSettings(Section):
    """How closely a run's models are looked at. The last three are about the winner only, and cost backbone passes."""

    min_slice_images: int = Field(30, ge=1, description="test images below which a slice is too small to say much of")
    changed_images: int = Field(
        200,
        ge=0,
        description="test images that are also looked at blurred, noisy, turned and so on; their feature maps are "
        "cached like all others. At least one of each class; 0 for none",
    )
    min_unmoved: Fraction = Field(
        0.95, description="share of images whose class must stay the same under a change that means nothing"
    )
    faithfulness_images: int = Field(
        16,
        ge=0,
        description="test images on which overlays are held against random ones; at least one of each class, 0 for "
        "none",
    )
