import numpy as np
import pytest

from ml.augment import make_view, view_id
from ml.config import AugmentSettings

SETTINGS = AugmentSettings(views=4)


@pytest.fixture
def pixels():
    """A bright square off the centre of a dim picture."""
    image = np.full((40, 40, 3), 0.2, np.float32)
    image[8:16, 4:12] = 0.8
    return image


def view(pixels, number=1, **changes):
    settings = SETTINGS.model_copy(update=changes)
    return make_view(pixels, view_id("id", number, settings), settings)


def test_the_image_itself_is_its_first_view():
    assert view_id("id", 0, SETTINGS) == "id"


def test_a_view_is_named_by_its_image_its_number_and_how_it_is_made():
    names = {
        view_id(image, number, settings)
        for image in ("one", "two")
        for number in (1, 2)
        for settings in (SETTINGS, AugmentSettings(views=4, zoom=0.1))
    }

    assert len(names) == 8
    assert all(name.startswith(("one+", "two+")) for name in names)


def test_more_views_leave_those_that_are_there():
    assert view_id("id", 1, SETTINGS) == view_id("id", 1, AugmentSettings(views=9))


def test_a_view_is_the_same_whenever_it_is_made(pixels):
    np.testing.assert_array_equal(view(pixels), view(pixels))


def test_views_differ_a_little_from_each_other_and_from_the_image(pixels):
    views = [view(pixels, number) for number in (1, 2, 3)]

    for one in views:
        assert (one.shape, one.dtype) == (pixels.shape, np.float32)
        assert 0 < np.abs(one - pixels).mean() < 0.1
        assert 0 <= one.min() <= one.max() <= 1
    assert not np.array_equal(views[0], views[1])


def test_without_any_change_allowed_a_view_is_the_image(pixels):
    same = view(pixels, rotation_degrees=0, zoom=0, brightness=0)

    np.testing.assert_allclose(same, pixels, atol=1e-6)


def test_nothing_is_mirrored_unless_that_is_allowed(pixels):
    def right_half(number, flip):
        return view(pixels, number, flip=flip, rotation_degrees=3)[:, 20:].max()

    assert max(right_half(number, flip=False) for number in range(1, 20)) < 0.5
    assert max(right_half(number, flip=True) for number in range(1, 20)) > 0.5


def test_what_comes_in_at_the_edges_repeats_the_edge(pixels):
    assert view(pixels, rotation_degrees=45, brightness=0).min() > 0.15
