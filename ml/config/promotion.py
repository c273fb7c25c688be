"""Section ``promotion``: how a cleared winner gets into production."""

from __future__ import annotations

from pydantic import Field

from ml.config.base import Fraction, Section

__all__ = ["CanarySettings", "InfraValidationSettings", "PromotionSettings", "WatchSettings"]


class InfraValidationSettings(Section):
    """A fresh model server that must load the exported model and answer from it, before it is published."""

    command: tuple[str, ...] | None = Field(
        None,
        description="that starts the server, with {port}, {rest_port}, {model_name} and {base_path} where these go; "
        "null starts Quartet's own",
    )
    images: int = Field(16, ge=1, le=1000, description="of the test split, asked of every signature")
    timeout_seconds: float = Field(300, gt=0, description="for the server to start and load the model")


class CanarySettings(Section):
    """A trial beside the champion, at the servers that will serve it."""

    images: int = Field(64, ge=1, le=10_000, description="of the test split, asked of both versions")
    recorded_requests: int = Field(
        0, ge=0, le=10_000, description="of the newest images kept by `monitoring.keep_images`, asked besides"
    )
    timeout_seconds: float = Field(120, gt=0, description="for the servers to load the version")
    wait_seconds: float = Field(
        900,
        ge=0,
        description="for the trial of another version to end, since it began; after that it is taken for dead",
    )
    max_error_share: Fraction = Field(0, description="of the canary's answers")
    min_offline_agreement: Fraction = Field(
        0.98, description="share of images that the canary puts into the class that evaluation put them into"
    )
    min_agreement: Fraction = Field(0.5, description="share of images on which champion and canary agree")
    max_latency_ratio: float | None = Field(
        5, gt=0, description="p95 of the canary's answers to that of the champion's; an ensemble may need more"
    )


class WatchSettings(Section):
    """A time after the swap in which the new version is taken back by itself if it does badly."""

    seconds: float = Field(60, gt=0, le=24 * 3600)
    interval_seconds: float = Field(5, gt=0)
    images: int = Field(8, ge=1, le=1000, description="of the test split, asked each time")
    timeout_seconds: float = Field(60, gt=0, description="for the servers to make it the stable version")
    max_error_share: Fraction = Field(0.01, description="of all answers of the server, and of those to the images")
    max_latency_ratio: float | None = Field(5, gt=0, description="p95 to that of the champion before, on the images")


class PromotionSettings(Section):
    """From a cleared winner to the stable version."""

    validation: InfraValidationSettings = InfraValidationSettings()
    canary: CanarySettings | None = Field(
        None, description="a trial at the model servers before the swap; {} for the defaults, null does without"
    )
    watch: WatchSettings | None = Field(
        None, description="a watch over the model servers after the swap; {} for the defaults, null does without"
    )
