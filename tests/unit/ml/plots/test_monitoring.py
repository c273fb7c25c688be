from __future__ import annotations

import numpy as np
import pandas as pd

from ml.measures import PROPERTIES
from ml.plots.monitoring import answers_figure, inputs_figure
from ml.plots.style import png_bytes
from monitored import CLASSES, draw_answers, draw_measures


def test_bars_are_the_shares_of_the_predicted_classes() -> None:
    before, now = draw_answers(200, 1), draw_answers(50, 2, shares=(0, 0, 1, 0), sureness=30)

    bars, _ = answers_figure(CLASSES, before, now).axes

    widths = [patch.get_width() for patch in bars.patches]
    assert widths[4:] == [0, 0, 1, 0]
    np.testing.assert_allclose(sum(widths[:4]), 1)


def test_each_measure_has_axes_of_its_own_and_odd_images_do_not_squeeze_them() -> None:
    before, now = (pd.DataFrame(draw_measures(300, seed)) for seed in (1, 2))
    now.loc[0, "bytes"] = 10**9

    figure = inputs_figure(before, now, PROPERTIES)

    assert [axes.get_title(loc="left") for axes in figure.axes] == [name.capitalize() for name in PROPERTIES]
    assert figure.axes[-1].get_xlim()[1] < 10**6


def test_images_of_one_size_can_be_drawn() -> None:
    table = pd.DataFrame(draw_measures(40, 1)).assign(width=512)

    assert png_bytes(inputs_figure(table, table, PROPERTIES)).startswith(b"\x89PNG")
