"""What is shown of the images with the head's attention."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from ml.examples import choose_examples
from ml.plots.attention import OverlayExample
from ml.preprocessing import decode_and_resize

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from ml.storage import Store

__all__ = ["choose_examples", "overlay_examples"]

DISPLAY_SIZE = 224


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
