"""Golden requests: test images with the answers that evaluation gave, to hold a model that serves against."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ml import layout
from ml.plan import load_samples

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ml.candidates import Contender
    from ml.storage import Store

__all__ = ["Golden", "load_golden"]


@dataclass(frozen=True)
class Golden:
    """Requests and what they should be answered with.

    Attributes:
        images: encoded, as they lie in the store.
        probabilities: float32 [N, C], of the candidate's classes in its order.
        classes: these classes.
    """

    images: tuple[bytes, ...]
    probabilities: NDArray[np.float32]
    classes: tuple[str, ...]

    @property
    def labels(self) -> list[str]:
        """The most probable class of each image."""
        return [self.classes[index] for index in self.probabilities.argmax(axis=1)]


def load_golden(store: Store, candidate: Contender, count: int) -> Golden:
    """Test images of a candidate's run, evenly spread over the labels; fewer where there are no more.

    Args:
        store: holds the run.
        candidate: that was evaluated there.
        count: how many, at least 1.
    """
    key = layout.run_key(candidate.run_id, candidate.name, "predictions.parquet")
    predictions = pd.read_parquet(io.BytesIO(store.get(key)))
    samples = load_samples(store, candidate.run_id)[["image_id", "uri"]]
    test = predictions[predictions["split"] == "test"].merge(samples, on="image_id")
    # The first of each label, then the second of each: a small number still has all labels.
    turn = test.groupby("label").cumcount()
    chosen = test.assign(turn=turn).sort_values(["turn", "label"], kind="stable").head(count)
    columns = [f"p_{label}" for label in candidate.classes]
    probabilities = chosen[columns].to_numpy(dtype=np.float32)
    return Golden(tuple(store.get(uri) for uri in chosen["uri"]), probabilities, candidate.classes)
