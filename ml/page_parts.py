"""What several pages show, without the libraries for tables that it takes to find it out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

__all__ = [
    "CANDIDATE_FIGURES",
    "EXAMINATION_FIGURES",
    "SNAPSHOT_FIGURES",
    "WIDE_FIGURES",
    "Interval",
    "LeaderboardRow",
    "RuleView",
    "SplitCounts",
]

#: The pictures of a page: file name, caption, and what it shows to those who cannot see it.
SNAPSHOT_FIGURES = (
    ("classes.png", "Images of each class", "Bars: images of each class, by split"),
    ("shares.png", "Shares of the classes", "Pie chart: share of each class in all images"),
    ("samples.png", "Samples", "A grid of sample images, one row a class"),
)
CANDIDATE_FIGURES = (
    (
        "curves.png",
        "Learning curves",
        "Accuracy and loss on training and validation images, macro F1 on validation images, by epoch",
    ),
    ("confusion.png", "Confusion matrix", "True against predicted classes on the test split, counts and shares"),
    ("report.png", "Classification report", "Precision, recall, F1 and support of each class on the test split"),
    (
        "class_curves.png",
        "ROC and precision-recall curves",
        "Curves of each class against all others, with the areas below them",
    ),
    (
        "reliability.png",
        "Reliability",
        "How often the likeliest class is the true one, by its probability, before and after temperature scaling",
    ),
    (
        "attention.png",
        "Attention and evidence",
        "Test images, and the same images under the head's attention and under Grad-CAM's evidence for the answer",
    ),
)
EXAMINATION_FIGURES = (
    ("changes.png", "Changed images", "Macro F1 on harmed images, and the share of answers that stay, by change"),
    (
        "faithfulness.png",
        "Faithfulness of the overlays",
        "Probability of the answer while the pixels that an overlay marks go, and while they come",
    ),
)
#: Those that half a page would make illegible.
WIDE_FIGURES = frozenset({"attention.png"})

#: The 95 % interval of a figure; None where that is not known.
Interval = tuple[float, float] | None


class SplitCounts(NamedTuple):
    """Images of one class in each split."""

    label: str
    train: int
    validation: int
    test: int


@dataclass(frozen=True)
class LeaderboardRow:
    """One candidate. ``validation_macro_f1`` chose among them; the others are measured on the test split.

    The champion was chosen in an earlier run: it has no ``validation_macro_f1`` here, and its ``seconds`` and latency
    are that run's. ``kind`` is said beside the name: ``ablation``, ``ensemble`` or nothing. ``latency_ms`` are the
    median and the 95th percentile for one image.
    """

    variant: str
    validation_macro_f1: float | None
    accuracy: float
    macro_f1: float
    seconds: float
    chosen: bool
    weights: str
    kind: str = ""
    latency_ms: tuple[float, float] | None = None
    macro_f1_interval: Interval = None
    accuracy_interval: Interval = None
    calibration_error: float | None = None
    temperature: float | None = None


@dataclass(frozen=True)
class RuleView:
    """One rule of the gate, with what was measured, what it asks for, and what is missing to that."""

    name: str
    passed: bool
    measured: str
    required: str
    missing: str = ""
