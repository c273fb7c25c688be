import math

import numpy as np
import pytest

from ml.progress import Progress


def after(*epochs):
    """Progress after epochs of these (macro F1, loss), whose weights are their numbers."""
    progress = Progress()
    for number, (macro_f1, loss) in enumerate(epochs, start=1):
        progress.add({"val_macro_f1": macro_f1, "val_loss": loss}, lambda number=number: [np.array(number)])
    return progress


@pytest.mark.parametrize(
    ("epochs", "best"),
    [
        ([(0.5, 1.0), (0.7, 2.0), (0.6, 0.1)], 2),
        ([(0.7, 1.0), (0.7, 0.5), (0.7, 0.6)], 2),
        ([(0.7 + 5e-8, 1.0), (0.7, 0.5)], 2),
        ([(0.7, 0.5), (0.7, 0.5)], 1),
        ([(0.7, math.nan), (0.7, 9.0), (0.7, math.nan)], 2),
    ],
    ids=["highest-f1", "lower-loss-of-equals", "equal-but-for-rounding", "first-of-the-same", "loss-that-is-no-number"],
)
def test_best_epoch_and_its_weights(epochs, best):
    progress = after(*epochs)

    assert progress.best_epoch == best
    assert progress.best_weights == [best]


def test_training_is_over_after_all_epochs_or_enough_that_brought_nothing():
    assert not after().is_over(epochs=3, patience=1)
    assert not after((0.5, 1), (0.4, 1)).is_over(epochs=3, patience=2)
    assert after((0.5, 1), (0.4, 1), (0.4, 1)).is_over(epochs=9, patience=2)
    assert after((0.5, 1), (0.6, 1), (0.7, 1)).is_over(epochs=3, patience=2)


def test_table_numbers_the_epochs_from_1():
    table = after((0.5, 1.0), (0.6, 0.5)).table()

    assert table.to_dict("list") == {"epoch": [1, 2], "val_macro_f1": [0.5, 0.6], "val_loss": [1.0, 0.5]}
