"""Which images the pages show. What forgets an image asks here, too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["choose_examples", "sample_images"]

SAMPLES_PER_CLASS = 6


def sample_images(manifest: pd.DataFrame, count: int = SAMPLES_PER_CLASS) -> pd.DataFrame:
    """The first rows of each class in the order of their digests: as good as random, and always the same.

    Args:
        manifest: with the columns image_id and label.
        count: rows of each class, where it has as many.
    """
    return manifest.sort_values("image_id").groupby("label").head(count)


def choose_examples(held_out: pd.DataFrame, probabilities: np.ndarray) -> dict[int, str]:
    """Rows of test images to show: of each class the surest and the least sure right one, and the surest wrong one.

    Args:
        held_out: columns label and split.
        probabilities: float32 [N, C], a row for each of ``held_out``.

    Returns:
        Why each row is shown, class by class: ``most confident``, ``least confident`` or ``wrong``.
    """
    predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    labels, test = held_out["label"].to_numpy(), (held_out["split"] == "test").to_numpy()
    chosen: dict[int, str] = {}
    for label in np.unique(labels):
        right, wrong = (
            np.flatnonzero(test & (labels == label) & ((predicted == labels) == found)) for found in (True, False)
        )
        if len(right):
            chosen[int(right[confidence[right].argmax()])] = "most confident"
            chosen.setdefault(int(right[confidence[right].argmin()]), "least confident")
        if len(wrong):
            chosen[int(wrong[confidence[wrong].argmax()])] = "wrong"
    return chosen
