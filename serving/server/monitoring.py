"""Where metrics are shown: ``--monitoring_config_file``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml.errors import ServingError
from serving.server.text_protos import BOOL, STRING, declare, field_of, read_text_proto

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["DEFAULT_PATH", "read_monitoring_path"]

DEFAULT_PATH = "/monitoring/prometheus/metrics"
MESSAGE = declare(
    {
        "PrometheusConfig": {"enable": BOOL, "path": STRING},
        "MonitoringConfig": {"prometheus_config": field_of("PrometheusConfig")},
    }
)["MonitoringConfig"]


def read_monitoring_path(path: Path | None) -> str | None:
    """The URL's path of the metrics, None when they are off, as they are without a file.

    Raises:
        ServingError: the file is no MonitoringConfig, or names a path without a slash in front.
    """
    if path is None:
        return None
    config = read_text_proto(path, MESSAGE).prometheus_config
    if not config.enable:
        return None
    if config.path and not config.path.startswith("/"):
        raise ServingError(f"{path}: the path {config.path!r} of the metrics has no slash in front.", "Put one there.")
    return config.path or DEFAULT_PATH
