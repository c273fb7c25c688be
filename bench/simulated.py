"""Answers of two models of known quality, on a test split like that of the real set."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtri

__all__ = ["LIKENESS", "TestSplit", "answers", "few_groups", "like_real", "real"]

#: How many groups of each size the test split of 5,712 brain MRI images has (15 %; 827 images after pixel duplicates,
#: 622 groups, docs/results.md), by class: glioma, meningioma, no tumour, pituitary.
SIZES = (
    {1: 151, 2: 17, 3: 3, 4: 1},
    {1: 147, 2: 20, 3: 3, 4: 1},
    {1: 68, 2: 17, 3: 11, 4: 3, 5: 4, 6: 2, 7: 2, 8: 1, 10: 1},
    {1: 142, 2: 15, 3: 8, 4: 3, 5: 2},
)
EVERY = [(label, size) for label, table in enumerate(SIZES) for size, count in table.items() for _ in range(count)]
#: What MobileNet with ImageNet's weights answered there, row by row the truth: macro F1 0.948.
CONFUSION = np.array([[184, 16, 1, 0], [3, 184, 8, 2], [0, 8, 203, 0], [0, 4, 0, 214]])
CLASSES = len(CONFUSION)
ERRORS = 1 - CONFUSION.diagonal() / CONFUSION.sum(axis=1)
#: Correlation of what decides whether two models err on an image (tetrachoric), as pairs of real models had it there.
LIKENESS = {
    "other backbone": 0.6,  # 0.45 to 0.71
    "sibling": 0.8,  # VGG16 and VGG19: 0.81
    "trained again": 0.95,  # MobileNet with another way to treat imbalance: 0.95 to 0.97
    "hardly changed": 0.99,
    "five images": 0.998,  # MobileNet once more after a change of code: they differed in four to six of 827
}
#: The same for one model and two images of a group: 0.5 to 0.97, the median 0.75.
WITHIN_GROUP = 0.75


@dataclass(frozen=True)
class TestSplit:
    """Labels and groups of images, both int [N]."""

    labels: np.ndarray
    groups: np.ndarray


def real() -> TestSplit:
    """The classes and groups of the real test split."""
    return _of_groups(EVERY)


def like_real(images: int) -> TestSplit:
    """So many images, give or take a group, in groups like those of the real test split."""
    shuffled = np.random.default_rng(0).permutation(EVERY * (images // 400 + 1))
    return _of_groups(shuffled[np.cumsum(shuffled[:, 1]) <= images].tolist())


def few_groups(count: int, size: int = 40) -> TestSplit:
    """As of so many patients with as many images each, the classes in turn."""
    return _of_groups([(group % CLASSES, size) for group in range(count)])


def answers(split: TestSplit, leads: tuple[float, float], likeness: float, seed: int) -> list[np.ndarray]:
    """What two models predict: int [N] each.

    A model errs on an image where a normal number passes the threshold of the image's class. The number's variance is
    in part the image's and in part the model's, and both are in part the group's.

    Args:
        split: the images.
        leads: what each model's macro F1 on endless images of this kind is above that of CONFUSION.
        likeness: correlation of two models' numbers for an image.
        seed: of the draws.
    """
    generator = np.random.default_rng(seed)

    def numbers() -> np.ndarray:
        alone = generator.standard_normal(len(split.labels))
        shared = generator.standard_normal(split.groups.max() + 1)[split.groups]
        return np.asarray(np.sqrt(WITHIN_GROUP) * shared + np.sqrt(1 - WITHIN_GROUP) * alone)

    common = numbers()
    # Whoever errs on an image takes it for the same class.
    rows = _wrong_answers().cumsum(axis=1)[split.labels]
    mistaken = (generator.random(len(rows))[:, None] > rows).sum(axis=1)
    found = []
    for lead in leads:
        number = np.sqrt(likeness) * common + np.sqrt(1 - likeness) * numbers()
        threshold = -ndtri(_errors(split.labels, lead))[split.labels]
        found.append(np.where(number > threshold, mistaken, split.labels))
    return found


def _of_groups(sizes: list[tuple[int, int]]) -> TestSplit:
    labels, counts = np.array(sizes).T
    return TestSplit(np.repeat(labels, counts), np.repeat(np.arange(len(counts)), counts))


def _wrong_answers() -> np.ndarray:
    """Shares of the other classes among the wrong answers for each: [C, C]."""
    wrong = CONFUSION - np.diag(CONFUSION.diagonal())
    return np.asarray(wrong / wrong.sum(axis=1, keepdims=True))


def _errors(labels: np.ndarray, lead: float) -> np.ndarray:
    """Shares of errors by class, in CONFUSION's proportion, that give a macro F1 higher by ``lead``."""
    weights = np.bincount(labels, minlength=CLASSES) / len(labels)
    wanted = _macro_f1(ERRORS, weights) + lead
    return np.asarray(ERRORS * brentq(lambda factor: _macro_f1(ERRORS * factor, weights) - wanted, 0, 5))


def _macro_f1(errors: np.ndarray, weights: np.ndarray) -> float:
    confusion = weights[:, None] * (np.diag(1 - errors) + errors[:, None] * _wrong_answers())
    return float((2 * confusion.diagonal() / (confusion.sum(axis=0) + confusion.sum(axis=1))).mean())
