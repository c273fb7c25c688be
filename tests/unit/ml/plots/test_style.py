from __future__ import annotations

from io import BytesIO

import matplotlib as mpl
import pytest
from PIL import Image

from ml.plots import style


@style.styled
def plain_figure():
    figure = style.new_figure(4, 2, "Title", "Subtitle")
    figure.subplots().plot([0, 1], [1, 0])
    return figure


def test_a_figure_becomes_a_png_of_its_size() -> None:
    figure = plain_figure()
    with Image.open(BytesIO(style.png_bytes(figure, dpi=100))) as image:
        image.load()
        assert image.format == "PNG"
        assert image.size == tuple(int(side * 100) for side in figure.get_size_inches())


def test_equal_figures_give_equal_bytes() -> None:
    assert style.png_bytes(plain_figure()) == style.png_bytes(plain_figure())


def test_drawing_leaves_the_settings_of_matplotlib_alone() -> None:
    before = dict(mpl.rcParams)
    plain_figure()
    assert dict(mpl.rcParams) == before


def test_the_title_block_takes_room_above_the_plot() -> None:
    figure = plain_figure()
    style.png_bytes(figure)
    assert [text.get_text() for text in figure.texts] == ["Title", "Subtitle"]
    top = figure.axes[0].get_tightbbox().y1
    assert all(text.get_window_extent().y0 >= top for text in figure.texts)


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        pytest.param("glioma", "glioma", id="short"),
        pytest.param("no tumour at all", "no tumour\nat all", id="words"),
        pytest.param("a_long_folder_name", "a_long_\nfolder_na…", id="underscores"),
        pytest.param("pneumonoultramicroscopic", "pneumonou…", id="one-long-word"),
        pytest.param("one two three four five six", "one two\nthree fou…", id="too-many-lines"),
        pytest.param("", "", id="empty"),
    ],
)
def test_labels_are_wrapped(label: str, expected: str) -> None:
    assert style.wrap_label(label, width=10) == expected


@pytest.mark.parametrize("count", [2, 8, 9, 20])
def test_each_class_has_a_colour_of_its_own(count: int) -> None:
    assert len(set(style.class_colors(count))) == count


@pytest.mark.parametrize(("color", "expected"), [("#000000", "white"), ("#ffffff", style.INK), ("#f0e442", style.INK)])
def test_text_stands_out(color: str, expected: str) -> None:
    assert style.readable_on(color) == expected
