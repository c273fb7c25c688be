"""Section ``monitoring``: what is kept of requests, and what the monitor holds against which limits."""

from __future__ import annotations

from pydantic import Field

from ml.config.base import Fraction, Section

__all__ = ["MonitoringSettings"]


class MonitoringSettings(Section):
    """Request logs, and the limits of what is served. Nothing is kept of any request unless ``log_share`` says so."""

    log_share: Fraction = Field(0, description="of the images asked of which a row is kept in the store; 0 keeps none")
    keep_images: bool = Field(False, description="also keep these images themselves, named by their SHA-256")
    flush_images: int = Field(500, ge=1, le=100_000, description="rows that are written together")
    flush_seconds: float = Field(60, gt=0, le=3600, description="after which fewer are written, too")
    retention_days: int = Field(30, ge=1, le=3650, description="after which rows and images are removed")
    window_hours: float = Field(24, gt=0, le=24 * 90, description="of rows that are looked at for drift")
    min_requests: int = Field(100, ge=20, description="with fewer requests, or fewer rows, nothing is claimed of them")
    max_error_share: Fraction = Field(
        0.01, description="alert above; of the requests since the last look, through the server's fault"
    )
    max_latency_ms: float | None = Field(
        1000, gt=0, description="alert above; in which 95 of 100 requests were answered, by the server's own clock"
    )
    max_prediction_drift: Fraction = Field(
        0.2,
        description="alert above, unless it may be chance; largest difference of shares to the test images' answers",
    )
    max_input_drift: Fraction = Field(
        0.2, description="alert above, unless it may be chance; likewise of the images' measures to the snapshot's"
    )
    false_alarm_share: float = Field(
        0.001, gt=0, le=0.2, description="of looks at unchanged requests that may call anything drifted"
    )
    remind_hours: float = Field(24, ge=0, description="after which an alert about the same is sent again")
    retrain_on_drift: bool = Field(
        False, description="start `retrain`, once for a version, when its requests have drifted"
    )
