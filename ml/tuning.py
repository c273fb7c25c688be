"""A search over a head's hyper-parameters: on cached feature maps a head costs seconds, so many can be tried."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["Trial", "draw_changes", "halve", "rungs"]

log = logging.getLogger(__name__)

#: Of the trials of a rung, one in so many goes on to the next, where it is given so many times the epochs.
FACTOR = 3


@dataclass(frozen=True)
class Trial:
    """One choice of hyper-parameters and how far it came.

    Attributes:
        number: in the order in which they were drawn; 0 is the configured one.
        changes: names and values that differ from what is configured.
        epochs: of its longest training.
        val_macro_f1: of the best epoch of that training.
        val_loss: of that epoch.
    """

    number: int
    changes: Mapping[str, Any]
    epochs: int
    val_macro_f1: float
    val_loss: float

    @property
    def rank(self) -> tuple[int, float, float, int]:
        """Smaller is better: who came further, then macro F1, then loss; the configured one before others."""
        return -self.epochs, -self.val_macro_f1, self.val_loss, self.number


def draw_changes(count: int, seed: int) -> list[dict[str, Any]]:
    """Choices of hyper-parameters, drawn independently (Bergstra & Bengio, 2012); the first changes nothing.

    Args:
        count: how many.
        seed: of the draw; more choices begin with the fewer ones.
    """
    return [{}, *(_draw(np.random.default_rng((seed, number))) for number in range(1, count))][:count]


def _draw(generator: np.random.Generator) -> dict[str, Any]:
    return {
        "learning_rate": float(f"{math.exp(generator.uniform(math.log(1e-4), math.log(3e-3))):.2g}"),
        "batch_size": int(generator.choice([32, 64, 128])),
        "heads": int(generator.choice([4, 8])),
        "key_dim": int(generator.choice([32, 64])),
        "units": int(generator.choice([128, 256, 512])),
        "noise": round(float(generator.uniform(0, 0.3)), 2),
        "dropout": round(float(generator.uniform(0, 0.6)), 2),
    }


def rungs(count: int, epochs: int) -> list[tuple[int, int]]:
    """How many trials are trained for how many epochs, one rung after the other, until one is left.

    The last one's whole training is not among them: it is the training that the search is for.

    Args:
        count: of trials.
        epochs: of a whole training.
    """
    sizes = []
    while count > 1:
        sizes.append(count)
        count = max(1, count // FACTOR)
    return [(size, max(1, epochs // FACTOR ** (len(sizes) - rung))) for rung, size in enumerate(sizes)]


def halve(
    changes: Sequence[Mapping[str, Any]], epochs: int, train: Callable[[Mapping[str, Any], int], tuple[float, float]]
) -> list[Trial]:
    """Successive halving (Jamieson & Talwalkar, 2016): many trials for a short time, the best of them for longer.

    Args:
        changes: of each trial, from :func:`draw_changes`.
        epochs: of a whole training.
        train: trains with some changes for some epochs, and returns the best epoch's validation macro F1 and loss.

    Returns:
        All trials, the best first.
    """
    trials = [Trial(number, change, 0, 0.0, math.inf) for number, change in enumerate(changes)]
    for size, budget in rungs(len(trials), epochs):
        going_on, resting = trials[:size], trials[size:]
        trained = []
        for trial in going_on:
            macro_f1, loss = train(trial.changes, budget)
            trained.append(Trial(trial.number, trial.changes, budget, macro_f1, loss))
            log.info("trial %d, %d epochs: macro F1 %.4f, %s", trial.number, budget, macro_f1, dict(trial.changes))
        trials = sorted(trained, key=lambda trial: trial.rank) + resting
    return trials
