"""Where things lie in the object store: the one place that spells keys."""

from __future__ import annotations

import hashlib
import re

__all__ = [
    "IMAGES",
    "LANDING",
    "LATEST_SNAPSHOT",
    "features_prefix",
    "image_key",
    "model_prefix",
    "quarantine_keys",
    "run_key",
    "run_prefix",
    "safe_run_id",
    "snapshot_key",
]

LANDING = "landing/"
IMAGES = "images/"
LATEST_SNAPSHOT = "snapshots/latest.json"


def image_key(image_id: str, ending: str) -> str:
    """Key of an accepted image's bytes."""
    return f"{IMAGES}{image_id[:2]}/{image_id}.{ending}"


def quarantine_keys(reason: str, sha256: str, source_key: str) -> tuple[str, str]:
    """Keys of a refused object's bytes, and of the record of one source key that held them."""
    prefix = f"quarantine/{reason}/{sha256}"
    return f"{prefix}/object", f"{prefix}/{hashlib.sha256(source_key.encode()).hexdigest()[:16]}.json"


def snapshot_key(snapshot_id: str, name: str) -> str:
    """Key of a file of a snapshot, e.g. ``manifest.parquet``."""
    return f"snapshots/{snapshot_id}/{name}"


def features_prefix(variant: str, fingerprint: str) -> str:
    """Prefix of a variant's cached feature maps."""
    return f"features/{variant}/{fingerprint}/"


def safe_run_id(run_id: str) -> str:
    """A run id as part of a key: Airflow's carry colons and plus signs."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", run_id).strip(".-") or "run"


def run_prefix(run_id: str) -> str:
    """Prefix of everything a run writes."""
    return f"runs/{safe_run_id(run_id)}/"


def run_key(run_id: str, *parts: str) -> str:
    """Key of a file of a run, e.g. ``run_key(run_id, "vgg16", "metrics.json")``."""
    return run_prefix(run_id) + "/".join(parts)


def model_prefix(model_name: str, version: int) -> str:
    """Prefix of a published version."""
    return f"models/{model_name}/{version}/"
