from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ml.plots import eda
from ml.plots.style import png_bytes

COUNTS = {("glioma", "train"): 30, ("glioma", "validation"): 6, ("glioma", "test"): 5, ("pituitary", "train"): 12}


def manifest(counts: dict[tuple[str, str], int] = COUNTS) -> pd.DataFrame:
    rows = [pair for pair, count in counts.items() for _ in range(count)]
    return pd.DataFrame(rows, columns=["label", "split"]).assign(width=224, height=224)


def texts(artist) -> list[str]:
    return [text.get_text() for text in artist.texts]


def test_bars_carry_their_counts_and_totals() -> None:
    figure = eda.count_plot(manifest())
    assert set(texts(figure.axes[0])) == {"30", "6", "5", "12", "41"}
    assert "53 images in 2 classes" in texts(figure)
    assert [label.get_text() for label in figure.legends[0].get_texts()] == ["train", "validation", "test"]


def test_classes_without_images_are_shown() -> None:
    frame = manifest()
    frame["label"] = pd.Categorical(frame["label"], categories=["glioma", "absent", "pituitary"])
    bars, ring = eda.count_plot(frame), eda.class_share_pie(frame)
    assert [label.get_text() for label in bars.axes[0].get_yticklabels()] == ["glioma", "absent", "pituitary"]
    assert "1 of 3 classes without images" in texts(ring)


def test_the_ring_lists_every_share() -> None:
    figure = eda.class_share_pie(manifest())
    legend = figure.axes[1].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["glioma  ·  41  (77.4%)", "pituitary  ·  12  (22.6%)"]
    assert "53\nimages" in texts(figure.axes[0])


@pytest.mark.parametrize("draw", [eda.count_plot, eda.class_share_pie])
def test_an_empty_manifest_is_drawn(draw) -> None:
    assert png_bytes(draw(manifest({})), dpi=40)


@pytest.mark.parametrize("draw", [eda.count_plot, eda.class_share_pie])
@pytest.mark.parametrize("number", [2, 12, 20])
def test_any_number_of_long_names_is_drawn(draw, number: int) -> None:
    counts = {
        (f"${index}_a rather long name of a class $x^2$ that goes on", "train"): index + 1 for index in range(number)
    }
    assert png_bytes(draw(manifest(counts)), dpi=40)


def test_the_grid_shows_each_image_once() -> None:
    pictures = [np.full((20 + 5 * index, 30, 3), index, np.uint8) for index in range(3)]
    figure = eda.sample_grid({"a": pictures, "b": pictures[:1], "c": []})
    shown = [axes.images[0].get_array() for axes in figure.axes]
    assert [image.shape for image in shown] == [(20, 30, 3), (25, 30, 3), (30, 30, 3), (20, 30, 3)]
    assert {"a", "b", "c", "no images"} <= set(texts(figure))
    assert png_bytes(figure, dpi=40)


def test_the_grid_stops_at_eight_columns() -> None:
    assert len(eda.sample_grid({"a": [np.zeros((8, 8, 3), np.uint8)] * 11}).axes) == 8
