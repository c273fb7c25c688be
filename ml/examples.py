"""Which images the pages show. What forgets an image asks here, too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["choose_examples", "sample_images"]

SAMPLES_PER_CLASS = 6


def sample_images(manifest: pd.DataFrame) -> pd.DataFrame:
    """The first rows of each class in the order of their digests: as good as random, and always the same.

    Args:
        manifest: with the columns image_id and label.
    """
    return manifest.sort_values("image_id").groupby("label").head(SAMPLES_PER_CLASS)


def choose_examples(held_out: pd.DataFrame, probabilities: np.ndarray) -> list[int]:
    """Rows of test images to show: of each class the most confident right one and the most confident wrong one.

    Args:
        held_out: columns label and split.
        probabilities: float32 [N, C], a row for each of ``held_out``.
    """
    predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    labels, test = held_out["label"].to_numpy(), (held_out["split"] == "test").to_numpy()
    chosen = []
    for label in np.unique(labels):
        for right in (True, False):
            rows = np.flatnonzero(test & (labels == label) & ((predicted == labels) == right))
            if len(rows):
                chosen.append(int(rows[confidence[rows].argmax()]))
    return chosen
