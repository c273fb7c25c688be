from __future__ import annotations

import numpy as np
import pytest

from ml.augment import original
from ml.changes import CHANGES, apply_change, changed_id
from ml.errors import ConfigError


@pytest.fixture(scope="module")
def picture():
    """A bright disc with texture on a dark ground, off centre."""
    rows, columns = np.mgrid[:64, :64]
    disc = ((rows - 28) ** 2 + (columns - 36) ** 2 < 300) * 0.5
    texture = np.random.default_rng(3).uniform(0, 0.3, (64, 64))
    return np.repeat((disc + texture + 0.05)[:, :, None], 3, axis=2).astype(np.float32)


@pytest.mark.parametrize("name", CHANGES)
def test_change_is_always_the_same_and_stays_an_image(name, picture):
    changed = apply_change(picture, "image", name)

    np.testing.assert_array_equal(changed, apply_change(picture.copy(), "image", name))
    assert (changed.shape, changed.dtype) == (picture.shape, np.float32)
    assert 0 <= changed.min() < changed.max() <= 1
    assert not np.array_equal(changed, picture)


@pytest.mark.parametrize(
    "names",
    [
        ("blur-1", "blur-2"),
        ("noise-4", "noise-8"),
        ("dark-5", "dark-30"),
        ("bright-5", "bright-30"),
        ("jpeg-90", "jpeg-30", "jpeg-10"),
        ("turn-2", "turn-5", "turn-10"),
    ],
    ids=lambda names: names[0].partition("-")[0],
)
def test_stronger_change_moves_an_image_further(names, picture):
    moved = [np.abs(apply_change(picture, "image", name) - picture).mean() for name in names]

    assert moved == sorted(moved)
    assert moved[0] < moved[-1] / 1.2


def test_brightness_is_a_factor(picture):
    np.testing.assert_allclose(apply_change(picture, "image", "dark-30"), picture * 0.7, rtol=1e-6)


def test_noise_has_its_deviation_and_is_grey(picture):
    grey = np.full_like(picture, 0.5)
    noise = apply_change(grey, "image", "noise-8") - grey

    assert noise.std() == pytest.approx(0.08, rel=0.05)
    np.testing.assert_array_equal(noise[..., 0], noise[..., 2])


def test_images_have_noise_of_their_own(picture):
    assert not np.array_equal(apply_change(picture, "one", "noise-4"), apply_change(picture, "two", "noise-4"))


def test_cached_name_changes_nothing_and_gives_the_image_back(picture):
    name = changed_id("image", "noise-4")

    np.testing.assert_array_equal(apply_change(picture, name, "noise-4"), apply_change(picture, "image", "noise-4"))
    assert original(name) == "image"


def test_blur_is_the_same_share_of_a_larger_image(picture):
    """The noise that is left of a texture says how far it was averaged over, in pixels."""
    noise = np.random.default_rng(2).uniform(0, 1, (448, 448, 1)).repeat(3, axis=2).astype(np.float32)
    small, large = (apply_change(one, "image", "blur-2").std() for one in (noise[:224, :224], noise))

    assert small / large == pytest.approx(2, rel=0.1)


def test_unknown_change_names_the_known_ones(picture):
    with pytest.raises(ConfigError, match="There is no change 'upside-down'") as error:
        apply_change(picture, "image", "upside-down")
    assert "blur-1" in error.value.remedy
