from __future__ import annotations

import numpy as np
import pytest

from ml.plots import style
from ml.plots.attention import OverlayExample, attention_overlays, blend_attention
from ml.plots.style import png_bytes


def example(predicted: str = "glioma", shape: tuple[int, int] = (40, 40)) -> OverlayExample:
    attention = np.full((7, 7), 1 / 49, np.float32)
    picture = np.full((*shape, 3), 90, np.uint8)
    return OverlayExample(picture, attention, spot(5, 1), "glioma", predicted, 0.875, "most confident")


def spot(row: int, column: int) -> np.ndarray:
    attention = np.zeros((7, 7), np.float32)
    attention[row, column] = 1
    return attention


def test_the_overlay_is_strongest_where_the_attention_is() -> None:
    image = np.full((70, 70, 3), 90, np.uint8)
    change = np.abs(blend_attention(image, spot(5, 1)).astype(int) - image).sum(axis=2)
    assert change[50:60, 10:20].mean() > 10 * change[:30, 40:].mean()
    row, column = np.unravel_index(change.argmax(), change.shape)
    assert (row // 10, column // 10) == (5, 1)


def test_the_image_stays_where_there_is_no_attention() -> None:
    image = np.arange(70 * 70 * 3, dtype=np.uint8).reshape(70, 70, 3)
    np.testing.assert_array_equal(blend_attention(image, spot(6, 6))[:40, :40], image[:40, :40])


def test_an_even_map_leaves_a_fainter_veil_than_a_spot() -> None:
    image = np.zeros((70, 70, 3), np.uint8)
    even = blend_attention(image, np.full((7, 7), 1 / 49, np.float32))
    assert 0 < even.max() < blend_attention(image, spot(3, 3)).max() / 2


@pytest.mark.parametrize("shape", [(40, 40), (90, 31), (31, 90)])
def test_the_overlay_keeps_the_shape_of_the_image(shape: tuple[int, int]) -> None:
    blended = blend_attention(np.zeros((*shape, 3), np.uint8), spot(3, 3))
    assert (blended.shape, blended.dtype) == ((*shape, 3), np.uint8)


def test_each_example_is_a_strip_with_a_caption() -> None:
    figure = attention_overlays([example(), example(), example(shape=(60, 30))])
    pictures = [axes for axes in figure.axes if axes.images]
    captions = [text.get_text() for text in figure.texts]
    assert len(pictures) == 9
    assert captions.count("evidence (Grad-CAM)") == 2
    assert captions.count("✓ glioma  88%") == 3
    assert captions.count("true class: glioma, most confident of these") == 3
    assert png_bytes(figure, dpi=40)


def test_wrong_predictions_are_marked() -> None:
    figure = attention_overlays([example(), example("pituitary")])
    caption = next(text for text in figure.texts if "pituitary" in text.get_text())
    assert caption.get_text() == "✗ wrong: pituitary  88%"
    assert caption.get_color() == style.WRONG
    assert "2 test images, 1 predicted wrongly" in [text.get_text() for text in figure.texts]
    frames = [axes.spines["left"].get_linewidth() for axes in figure.axes if axes.images]
    assert frames[3:] == [3, 3, 3] > frames[:3]


@pytest.mark.parametrize("number", [0, 1, 9])
def test_any_number_of_examples_is_drawn(number: int) -> None:
    assert png_bytes(attention_overlays([example()] * number), dpi=40)
