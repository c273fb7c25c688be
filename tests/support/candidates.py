"""Records of candidates for tests that look at little of them."""

from __future__ import annotations

from typing import Any

from ml.candidates import Candidate


def make_candidate(**changes: Any) -> Candidate:
    """A head of two classes on one position of one channel; takes what a test is about."""
    plain: dict[str, Any] = {
        "run_id": "run",
        "variant": "one",
        "snapshot_id": "s",
        "classes": ("a", "b"),
        "seconds": 1.0,
        "mlflow_run_id": "m",
        "fingerprint": "f",
        "feature_shape": (1, 1, 1),
        "weights_digest": "0",
        "precision": "float32",
        "settings": {},
        "best_epoch": 1,
    }
    return Candidate(**plain | changes)
