"""Which images to show with the head's attention, and what is shown of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from ml.plots.attention import OverlayExample
from ml.preprocessing import decode_and_resize

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from ml.storage import Store

__all__ = ["choose_examples", "overlay_examples"]

DISPLAY_SIZE = 224


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


def overlay_examples(
    store: Store,
    held_out: pd.DataFrame,
    output: Mapping[str, np.ndarray],
    chosen: Sequence[int],
    classes: Sequence[str],
) -> list[OverlayExample]:
    """Read the chosen images and join them with their attention and predictions."""
    examples = []
    for row in chosen:
        probabilities = output["probabilities"][row]
        pixels = decode_and_resize(tf.constant(store.get(held_out["uri"].iloc[row])), DISPLAY_SIZE)
        examples.append(
            OverlayExample(
                image=np.asarray(pixels * 255.0).round().astype(np.uint8),
                attention=output["attention"][row],
                truth=classes[held_out["label"].iloc[row]],
                predicted=classes[int(probabilities.argmax())],
                probability=float(probabilities.max()),
            )
        )
    return examples
