"""How far a training has come, and which of its epochs was the best."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np

__all__ = ["Progress"]


@dataclass
class Progress:
    """The epochs so far.

    Attributes:
        rows: each epoch's metrics by name, among them ``val_macro_f1`` and ``val_loss``.
        best_weights: those of the best epoch.
        seconds: of training, interruptions left out.
    """

    rows: list[dict[str, float]] = field(default_factory=list)
    best_weights: list[np.ndarray] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def best_epoch(self) -> int:
        """The epoch, from 1, of the best macro F1 on validation images; among equals that of the lowest loss.

        The loss alone is no judge: a few images that a head is wrong and sure about decide it.
        """
        return 1 + max(range(len(self.rows)), key=lambda index: _merit(self.rows[index]))

    def add(self, row: Mapping[str, float], weights: Callable[[], list[np.ndarray]]) -> None:
        """Note an epoch; its weights are asked for if it is the best so far."""
        self.rows.append(dict(row))
        if self.best_epoch == len(self.rows):
            self.best_weights = weights()

    def is_over(self, epochs: int, patience: int) -> bool:
        """Whether all epochs were run, or ``patience`` of them brought nothing better."""
        done = len(self.rows)
        return done >= epochs or (done > 0 and done - self.best_epoch >= patience)

    def table(self) -> pd.DataFrame:
        """A row an epoch, with its number from 1 in the column ``epoch``."""
        frame = pd.DataFrame(self.rows)
        frame.insert(0, "epoch", range(1, len(frame) + 1))
        return frame


def _merit(row: Mapping[str, float]) -> tuple[float, float]:
    loss = row["val_loss"]
    # Equal counts of other classes give means that differ in their last bits.
    return round(row["val_macro_f1"], 6), -math.inf if math.isnan(loss) else -loss
