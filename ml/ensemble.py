"""Soft voting: what each member's vote weighs, what the vote is worth on images not fitted to, and the vote itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import minimize
from sklearn.model_selection import StratifiedGroupKFold

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["common_grid", "fit_weights", "fold_count", "out_of_fold", "resize_matrix", "soft_vote", "vote_maps"]

#: A member whose vote weighs less is not worth a backbone.
MIN_WEIGHT = 0.01
FOLDS = 5
#: The least probability that counts as given: one certain error must not make the loss infinite.
FLOOR = 1e-7


def fit_weights(probabilities: np.ndarray, labels: np.ndarray, most: int) -> np.ndarray:
    """The weights with the least log loss, non-negative and with sum 1.

    The loss is convex in the weights, so there is one least value. While there are more members than wanted, or one
    weighs less than 1 %, the lightest goes, of equals the last one, and the others are fitted again.

    Args:
        probabilities: float [M, N, C], of each member.
        labels: int [N].
        most: members that may be left.

    Returns:
        float64 [M]; 0 for members that went.
    """
    chances = np.maximum(probabilities[:, np.arange(len(labels)), labels].astype(np.float64), FLOOR)
    kept = list(range(len(chances)))
    weights = _least_loss(chances)
    while len(kept) > 1 and (len(kept) > most or weights.min() < MIN_WEIGHT):
        # Rounded, so that members that answer alike count as equals.
        del kept[len(kept) - 1 - int(weights[::-1].round(6).argmin())]
        weights = _least_loss(chances[kept])
    spread = np.zeros(len(chances))
    spread[kept] = weights
    return spread


def _least_loss(chances: np.ndarray) -> np.ndarray:
    """Minimise the mean of -log(weights . chances), with chances [M, N] that members gave to the true classes."""
    count = len(chances)

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        mixed = np.maximum(weights @ chances, FLOOR)
        return -float(np.log(mixed).mean()), -(chances / mixed).mean(axis=1)

    found = minimize(
        loss,
        np.full(count, 1 / count),
        jac=True,
        method="SLSQP",
        bounds=[(0, 1)] * count,
        constraints={"type": "eq", "fun": lambda weights: weights.sum() - 1, "jac": lambda _: np.ones(count)},
        options={"ftol": 1e-10, "maxiter": 500},
    )
    weights = np.clip(found.x, 0, 1)
    return np.asarray(weights / weights.sum())


def fold_count(labels: np.ndarray, groups: np.ndarray) -> int:
    """Folds that :func:`out_of_fold` makes: five, or as many as the rarest class has images or there are groups.

    With fewer than two nothing can be held out.
    """
    rarest = int(np.unique(labels, return_counts=True)[1].min())
    return min(FOLDS, rarest, len(np.unique(groups)))


def out_of_fold(probabilities: np.ndarray, labels: np.ndarray, groups: np.ndarray, most: int, seed: int) -> np.ndarray:
    """What the ensemble says of each image with weights that were fitted without that image's fold.

    Weights that are scored on the images they were fitted to look better than they are (Wolpert, 1992, Stacked
    generalization). Folds have like shares of the classes, and keep groups whole.

    Args:
        probabilities: float [M, N, C], of each member.
        labels: int [N].
        groups: [N], of the images.
        most: members that may be left, as in :func:`fit_weights`.
        seed: of the folds.

    Returns:
        float32 [N, C].
    """
    folds = StratifiedGroupKFold(fold_count(labels, groups), shuffle=True, random_state=seed)
    mixed = np.empty(probabilities.shape[1:], dtype=np.float32)
    for fitted, held_out in folds.split(labels, labels, groups):
        weights = fit_weights(probabilities[:, fitted], labels[fitted], most)
        mixed[held_out] = np.tensordot(weights, probabilities[:, held_out], axes=1)
    return mixed


def soft_vote(outputs: Sequence[Mapping[str, np.ndarray]], weights: Sequence[float]) -> dict[str, np.ndarray]:
    """The weighted mean of members' answers; attention maps are brought to the largest grid first.

    Args:
        outputs: of each member ``probabilities`` float32 [N, C] and ``attention`` float32 [N, h, w], which sums to 1
            over each image.
        weights: of each member, with sum 1.

    Returns:
        ``probabilities`` float32 [N, C] and ``attention`` float32 [N, H, W], which sums to 1 over each image.
    """
    if len(outputs) == 1:
        return dict(outputs[0])
    probabilities = sum(weight * output["probabilities"] for output, weight in zip(outputs, weights, strict=True))
    return {
        "probabilities": np.asarray(probabilities, dtype=np.float32),
        "attention": vote_maps([output["attention"] for output in outputs], weights),
    }


def vote_maps(maps: Sequence[np.ndarray], weights: Sequence[float]) -> np.ndarray:
    """The weighted mean of members' maps, brought to the largest grid.

    Args:
        maps: of each member float32 [N, h, w], which sum to 1 over each image.
        weights: of each member, with sum 1.

    Returns:
        float32 [N, H, W], which sums to 1 over each image.
    """
    if len(maps) == 1:
        return maps[0]
    height, width = common_grid([one.shape[1:] for one in maps])
    resized = (weight * _resize(one, height, width) for one, weight in zip(maps, weights, strict=True))
    return np.asarray(sum(resized), dtype=np.float32)


def common_grid(shapes: Sequence[Sequence[int]]) -> tuple[int, int]:
    """Height and width that no map's exceed."""
    return max(shape[0] for shape in shapes), max(shape[1] for shape in shapes)


def resize_matrix(target: int, source: int) -> np.ndarray:
    """Bilinear resizing of one axis as a matrix, float32 [target, source], rows with sum 1: as TensorFlow resizes.

    A matrix, so that the vote here and the one in a SavedModel are the same product.
    """
    places = np.clip((np.arange(target) + 0.5) * source / target - 0.5, 0, source - 1)
    below = np.floor(places).astype(int)
    share = places - below
    matrix = np.zeros((target, source), dtype=np.float32)
    rows = np.arange(target)
    matrix[rows, below] += 1 - share
    matrix[rows, np.minimum(below + 1, source - 1)] += share
    return matrix


def _resize(maps: np.ndarray, height: int, width: int) -> np.ndarray:
    rows, columns = resize_matrix(height, maps.shape[1]), resize_matrix(width, maps.shape[2])
    resized = np.einsum("yh,nhw,xw->nyx", rows, maps, columns)
    return np.asarray(resized / resized.sum(axis=(1, 2), keepdims=True), dtype=np.float32)
