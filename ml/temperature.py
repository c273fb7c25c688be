"""Temperature scaling: one number that makes a model as sure as it is right (Guo et al., 2017).

Probabilities are raised to the power of 1 / temperature and made to sum to 1 again, which is what dividing the logits
does. Which class is the likeliest does not change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import minimize_scalar

from ml import layout
from ml.ensemble import FLOOR
from ml.errors import NotFoundError
from ml.storage import dump_json, read_json

if TYPE_CHECKING:
    from ml.candidates import Contender
    from ml.storage import Store

__all__ = ["fit_temperature", "load_temperature", "soften", "store_temperature"]

FILE = "temperature.json"
LOWEST, HIGHEST = 0.05, 20.0


def fit_temperature(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """The temperature with the least log loss on images that the model was not fitted to.

    One image more is counted whose class nobody knows, spread over all of them: a model that makes no mistake on a few
    images would otherwise be told to be certain of everything.

    Args:
        labels: int [N].
        probabilities: float [N, C].

    Returns:
        Between 0.05 and 20, above 1 for a model that is too sure; 1 without any image.
    """
    if not len(labels):
        return 1.0
    count, classes = probabilities.shape
    logs = np.log(np.maximum(probabilities.astype(np.float64), FLOOR))
    unknown = 1 / (count + 1)
    targets = np.full(logs.shape, unknown / classes)
    targets[np.arange(count), labels] += 1 - unknown

    def loss(log_temperature: float) -> float:
        scaled = logs / np.exp(log_temperature)
        scaled -= scaled.max(axis=1, keepdims=True)
        scaled -= np.log(np.exp(scaled).sum(axis=1, keepdims=True))
        return -float((targets * scaled).sum(axis=1).mean())

    found = minimize_scalar(loss, bounds=(np.log(LOWEST), np.log(HIGHEST)), method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x))


def soften(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Scale probabilities float32 [N, C]; a temperature of 1 leaves them as they are."""
    if temperature == 1:
        return probabilities
    # Relative to the largest, so that no power of it vanishes.
    powers = (probabilities / probabilities.max(axis=1, keepdims=True)) ** np.float32(1 / temperature)
    scaled: np.ndarray = powers / powers.sum(axis=1, keepdims=True)
    return scaled


def store_temperature(store: Store, contender: Contender, temperature: float) -> None:
    """Keep it beside what else belongs to the contender: from then on it is part of the model."""
    store.put(layout.run_key(contender.run_id, contender.name, FILE), dump_json({"temperature": temperature}))


def load_temperature(store: Store, contender: Contender) -> float:
    """The contender's temperature; 1 where none has been fitted: before its evaluation."""
    try:
        return float(read_json(store, layout.run_key(contender.run_id, contender.name, FILE))["temperature"])
    except NotFoundError:
        return 1.0
