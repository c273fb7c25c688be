"""What of an image tells its label without showing what the label means: a model may learn that instead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["STRONG", "find_confounders"]

#: From here on a model can hardly help to learn it.
STRONG = 0.3
#: What goes with the label by nature; the subfolder does not.
EXPECTED = ["folder"]


def find_confounders(values: pd.DataFrame, labels: Sequence[int]) -> list[dict[str, Any]]:
    """How much each attribute of the training images says of their label, the strongest first.

    The measure is Cramér's V corrected for chance (Bergsma, 2013): 0 where the attribute says nothing, 1 where it says
    all. An attribute that is the same everywhere is left out.

    Args:
        values: from :func:`ml.slices.slice_values`; the folder is left out, since its first part mostly is the label.
        labels: of the same images.

    Returns:
        ``attribute``, ``association`` and ``images`` (of which both are known).
    """
    found = []
    for name in values.columns.difference(EXPECTED, sort=False):
        if values[name].nunique() < 2:
            continue
        table = pd.crosstab(values[name].to_numpy(dtype=object), np.asarray(labels))
        association = _association(table.to_numpy(dtype=float))
        found.append({"attribute": str(name), "association": association, "images": int(table.to_numpy().sum())})
    return sorted(found, key=lambda row: -row["association"])


def _association(table: np.ndarray) -> float:
    images = table.sum()
    if min(table.shape, default=0) < 2 or images < 2:
        return 0.0
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0, keepdims=True) / images
    excess = ((table - expected) ** 2 / expected).sum() / images
    spare = np.array(table.shape) - 1.0
    by_chance = spare.prod() / (images - 1)
    most = (spare - spare**2 / (images - 1)).min()
    return float(np.sqrt(max(0.0, excess - by_chance) / most)) if most > 0 else 0.0
