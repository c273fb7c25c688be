from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ml.plots.style import png_bytes
from ml.plots.training import learning_curves


def history(epochs: int) -> pd.DataFrame:
    epoch = np.arange(1, epochs + 1)
    rising, falling = 1 - 0.5 / epoch, 1 / epoch
    return pd.DataFrame(
        {
            "epoch": epoch,
            "accuracy": rising,
            "val_accuracy": rising - 0.1,
            "loss": falling,
            "val_loss": falling + 0.1,
            "val_macro_f1": rising - 0.2,
            "learning_rate": falling,
        }
    )


def test_curves_are_the_history() -> None:
    frame = history(6)
    accuracy, loss, macro_f1 = learning_curves(frame, "VGG16", best_epoch=4).axes
    drawn = {line.get_label(): line for line in accuracy.lines}
    np.testing.assert_array_equal(drawn["training"].get_ydata(), frame["accuracy"])
    np.testing.assert_array_equal(drawn["validation"].get_ydata(), frame["val_accuracy"])
    assert loss.get_xlabel() == "epoch"
    assert [line.get_label() for line in macro_f1.lines if not line.get_label().startswith("_")] == [
        "validation",
        "best epoch",
    ]
    np.testing.assert_array_equal(macro_f1.lines[0].get_ydata(), frame["val_macro_f1"])


def test_the_best_epoch_is_marked() -> None:
    figure = learning_curves(history(6), "VGG16", best_epoch=4)
    for axes, value in zip(figure.axes, (0.775, 0.35, 0.675), strict=True):
        star = next(line for line in axes.lines if line.get_label() == "best epoch")
        assert (star.get_xdata()[0], star.get_ydata()[0]) == pytest.approx((4, value))
    assert figure.axes[0].get_title(loc="left") == "Accuracy: validation 0.775"
    assert figure.axes[2].get_title(loc="left") == "Macro F1: validation 0.675"
    assert "6 epochs; the weights of epoch 4 were kept" in [text.get_text() for text in figure.texts]


@pytest.mark.parametrize("epochs", [1, 200])
def test_any_length_is_drawn(epochs: int) -> None:
    assert png_bytes(learning_curves(history(epochs), "VGG16", best_epoch=1), dpi=40)
