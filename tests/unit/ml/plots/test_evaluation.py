from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ml.plots.evaluation import classification_report_table, confusion_heatmap
from ml.plots.style import png_bytes

MATRIX = np.array([[1999, 1, 0], [1, 4, 5], [0, 0, 0]])


def cells(axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def test_counts_and_shares_stand_side_by_side() -> None:
    counts, shares = confusion_heatmap(MATRIX, ["a", "b", "c"]).axes
    assert cells(counts) == ["1,999", "1", "0", "1", "4", "5", "0", "0", "0"]
    assert cells(shares) == ["100%", "<1%", "0%", "10%", "40%", "50%", "–", "–", "–"]  # noqa: RUF001
    assert (counts.get_xlabel(), counts.get_ylabel()) == ("predicted", "true")
    assert counts.get_position().y0 == shares.get_position().y0


def test_the_subtitle_counts_what_was_right() -> None:
    figure = confusion_heatmap(MATRIX, ["a", "b", "c"])
    assert "2,003 of 2,010 test images right (99.7%)" in [text.get_text() for text in figure.texts]


def test_large_matrices_stand_above_each_other_and_leave_out_the_zeros() -> None:
    counts, shares = confusion_heatmap(np.eye(12, dtype=int), [f"class {index}" for index in range(12)]).axes
    assert counts.get_position().y0 > shares.get_position().y1
    assert sorted(set(cells(counts))) == ["", "1"]


@pytest.mark.parametrize("number", [2, 20])
def test_any_number_of_long_names_is_drawn(number: int) -> None:
    names = [f"class {index} with a name that_does_not_fit anywhere" for index in range(number)]
    assert png_bytes(confusion_heatmap(np.zeros((number, number), int), names), dpi=30)


def test_the_table_holds_every_number() -> None:
    report = pd.DataFrame(
        {
            "label": ["a", "macro average"],
            "precision": [0.5, 1],
            "recall": [0.25, 0],
            "f1": [1 / 3, 0.1],
            "support": [8, 1234],
        }
    )
    figure = classification_report_table(report)
    axes = figure.axes[0]
    assert cells(axes) == ["0.500", "0.250", "0.333", "1.000", "0.000", "0.100", "8", "1,234"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["precision", "recall", "F1", "images"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "macro average"]
    assert png_bytes(figure, dpi=40)
