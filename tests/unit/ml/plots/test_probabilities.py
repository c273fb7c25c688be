from __future__ import annotations

import numpy as np
import pytest

from ml.metrics import classification_metrics
from ml.plots.probabilities import class_curves, reliability_diagram
from ml.plots.style import png_bytes

RANDOM = np.random.default_rng(0)
LABELS = RANDOM.integers(0, 3, 200)
SCORES = RANDOM.random((200, 3)) + 2 * np.eye(3)[LABELS]
PROBABILITIES = SCORES / SCORES.sum(axis=1, keepdims=True)
GROUPS = [f"g{number}" for number in range(200)]
CLASSES = ("glioma", "a class with a very long name that goes on", "none")


def legend(axes) -> list[str]:
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_each_class_has_its_curves_with_their_areas() -> None:
    report = classification_metrics(LABELS, PROBABILITIES, CLASSES)["report"]

    roc, precision = class_curves(LABELS, PROBABILITIES, report, GROUPS).axes

    assert legend(roc)[0] == f"glioma: {report[0]['roc_auc']:.3f}"
    assert legend(precision)[2] == f"none: {report[2]['average_precision']:.3f}"
    assert len(roc.lines) == 4  # and the diagonal
    assert len(roc.collections) == len(precision.collections) == 3  # the bands


def test_class_without_images_has_no_curve() -> None:
    labels = np.minimum(LABELS, 1)
    report = classification_metrics(labels, PROBABILITIES, CLASSES)["report"]

    roc, _ = class_curves(labels, PROBABILITIES, report, GROUPS).axes

    assert [name.split(":")[0] for name in legend(roc)] == ["glioma", "a class with a very long na…"]


def test_points_of_the_reliability_diagram_are_means_of_their_bins() -> None:
    """Half of the images at 0.9, of which nine in ten are right; the others at 0.5 and always right."""
    labels = np.array([0] * 9 + [1] + [0] * 10)
    after = np.array([[0.9, 0.1]] * 10 + [[0.5, 0.5]] * 10)

    curve, counts = reliability_diagram(labels, after**2, after, 2.0, GROUPS[:20]).axes

    _diagonal, _before, served = curve.lines
    np.testing.assert_allclose(served.get_xydata(), [[0.5, 1.0], [0.9, 0.9]])
    assert served.get_label() == "as served"
    assert [patch.get_height() for patch in counts.patches if patch.get_height()] == [10, 10]


def test_the_subtitle_has_both_errors_and_the_temperature() -> None:
    labels = np.zeros(4, dtype=int)
    figure = reliability_diagram(labels, np.tile([0.6, 0.4], (4, 1)), np.tile([0.8, 0.2], (4, 1)), 0.5, ["g"] * 4)

    assert "error 0.200, 0.400 before scaling with a temperature of" in figure.texts[1].get_text().replace("\n", " ")


@pytest.mark.parametrize("count", [2, 20])
def test_any_number_of_classes_is_drawn(count: int) -> None:
    labels = np.arange(count)
    probabilities = np.eye(count)
    report = classification_metrics(labels, probabilities, tuple(f"class {one}" for one in range(count)))["report"]

    groups = [f"g{one}" for one in range(count)]
    assert png_bytes(class_curves(labels, probabilities, report, groups), dpi=30)
    assert png_bytes(reliability_diagram(labels, probabilities, probabilities, 1.0, groups), dpi=30)
