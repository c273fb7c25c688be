"""What is shown of a contender's test images: the image, the head's attention and the evidence for the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ml.examples import choose_examples
from ml.plots.attention import OverlayExample
from ml.prediction import evidence_maps
from ml.sources import image_sources, read_image

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from ml.candidates import Contender
    from ml.context import Context

__all__ = ["overlay_examples"]

DISPLAY_SIZE = 224


def overlay_examples(
    context: Context, contender: Contender, held_out: pd.DataFrame, output: Mapping[str, np.ndarray]
) -> list[OverlayExample]:
    """Choose images, read them, and join them with what the contender says of them and where it finds it.

    Args:
        context: settings and store.
        contender: whose feature maps of the images are cached.
        held_out: columns image_id, uri, label and split.
        output: ``probabilities`` float32 [N, C] and ``attention`` float32 [N, H, W] for its rows.
    """
    chosen = choose_examples(held_out, output["probabilities"])
    if not chosen:
        return []
    images = held_out.iloc[list(chosen)]
    probabilities = output["probabilities"][list(chosen)]
    evidence = evidence_maps(context, contender, image_sources(images), probabilities.argmax(axis=1))
    return [
        OverlayExample(
            image=np.rint(read_image(context.store, uri, DISPLAY_SIZE) * 255).astype(np.uint8),
            attention=output["attention"][row],
            evidence=evidence[place],
            truth=contender.classes[label],
            predicted=contender.classes[int(probabilities[place].argmax())],
            probability=float(probabilities[place].max()),
            why=why,
        )
        for place, ((row, why), uri, label) in enumerate(
            zip(chosen.items(), images["uri"], images["label"], strict=True)
        )
    ]
