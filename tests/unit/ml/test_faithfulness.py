from __future__ import annotations

import numpy as np
import pytest

from ml.faithfulness import STEPS, compare_overlays, deletion_and_insertion, random_overlays

SIZE = 40


def spot_model(images):
    """As sure of class 1 as one corner of the image is bright."""
    share = images[:, :8, :8].mean(axis=(1, 2, 3))
    return np.stack([1 - share, share], axis=1)


@pytest.fixture
def image():
    picture = np.full((SIZE, SIZE, 3), 0.1, np.float32)
    picture[:8, :8] = 1
    return picture


def overlay(row, column):
    marked = np.zeros((5, 5), np.float32)
    marked[row, column] = 1
    return marked


def test_answer_falls_at_once_without_what_the_model_goes_by_and_comes_at_once_with_it(image):
    (good, bad) = deletion_and_insertion(spot_model, image, [overlay(0, 0), overlay(4, 4)], 1)

    assert good[0, 0] == bad[0, 0] == pytest.approx(1)
    assert good[1, -1] == bad[1, -1] == pytest.approx(1)
    assert good[0, 1] < 0.3 < 0.9 < bad[0, 1]
    assert good[1, 1] > 0.95 > 0.85 > bad[1, 1]


def test_all_frames_are_asked_for_in_the_model_s_form(image):
    asked = []

    def ask(images):
        asked.append((images.shape, images.dtype))
        return spot_model(images)

    curves = deletion_and_insertion(ask, image, [overlay(0, 0)], 1)

    # Both curves of an overlay end in the image, and begin in one of two others.
    assert asked == [((2 * (STEPS - 1) + 3, SIZE, SIZE, 3), np.float32)]
    assert curves.shape == (1, 2, STEPS + 1)


def test_areas_are_those_of_the_trapezoid_rule():
    fallen = np.linspace(1, 0, STEPS + 1)
    curves = np.stack([fallen, np.ones(STEPS + 1)])[None]

    found = compare_overlays({"attention": curves, "random": curves}, ["g"])["overlays"]["attention"]

    assert (found["deletion"], found["insertion"]) == (pytest.approx(0.5), pytest.approx(1))
    assert found["score"] == pytest.approx(0.5)


def test_gain_is_against_the_random_overlay_of_the_same_image():
    levels = np.random.default_rng(5).uniform(0.2, 0.8, (30, 1, 1))
    good = np.concatenate([levels - 0.1, levels + 0.1], axis=1) * np.ones((1, 1, STEPS + 1))
    even = np.concatenate([levels, levels], axis=1) * np.ones((1, 1, STEPS + 1))

    found = compare_overlays({"attention": good, "random": even}, [f"g{number}" for number in range(30)])["overlays"]

    assert found["attention"]["gain"] == pytest.approx(0.2)
    assert found["attention"]["interval"] == pytest.approx([0.2, 0.2])
    assert (found["random"]["gain"], found["random"]["interval"]) == (None, None)


def test_one_group_gives_no_interval():
    curves = np.zeros((3, 2, STEPS + 1))

    found = compare_overlays({"attention": curves, "random": curves}, ["g"] * 3)["overlays"]

    assert found["attention"]["interval"] is None


def test_random_overlays_are_the_same_for_a_seed():
    np.testing.assert_array_equal(random_overlays(2, (3, 4), 1), random_overlays(2, (3, 4), 1))
    assert random_overlays(2, (3, 4), 1).shape == (2, 3, 4)
