from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pytest
from PIL import Image

from ml.errors import DataError
from ml.phantom import CLASSES, draw_phantom, draw_phantoms

if TYPE_CHECKING:
    from pathlib import Path

    from ml.phantom import PhantomSet

PER_CLASS = 10  # every encoding appears in every class


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> PhantomSet:
    return draw_phantoms(tmp_path_factory.mktemp("phantoms"), PER_CLASS, seed=3)


def content(drawn: PhantomSet) -> dict[str, bytes]:
    files = (path for path in drawn.folder.rglob("*") if path.is_file())
    return {path.relative_to(drawn.folder).as_posix(): path.read_bytes() for path in files}


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def test_the_same_seed_writes_the_same_bytes(phantoms: PhantomSet, tmp_path: Path) -> None:
    assert content(draw_phantoms(tmp_path, PER_CLASS, seed=3)) == content(phantoms)


def test_a_larger_set_begins_with_the_smaller_one(phantoms: PhantomSet, tmp_path: Path) -> None:
    whole = content(phantoms)
    assert all(whole[path] == data for path, data in content(draw_phantoms(tmp_path, 2, seed=3)).items())


def test_another_seed_draws_other_images() -> None:
    first, second = draw_phantom("glioma", 0, seed=1)[0], draw_phantom("glioma", 0, seed=2)[0]
    assert first.shape != second.shape or not np.array_equal(first, second)


def test_every_file_is_accounted_for_once(phantoms: PhantomSet) -> None:
    listed = [*phantoms.images, *phantoms.duplicates, *phantoms.bad]
    assert sorted(listed) == sorted(content(phantoms))


def test_each_class_has_the_number_asked_for(phantoms: PhantomSet) -> None:
    counts = Counter(path.split("/")[0] for path in phantoms.images)
    assert counts == dict.fromkeys(CLASSES, PER_CLASS)
    assert phantoms.good == PER_CLASS * len(CLASSES)


def test_good_files_open_in_the_format_that_is_stated(phantoms: PhantomSet) -> None:
    found = {}
    for path in phantoms.images:
        with Image.open(phantoms.folder / path) as image:
            image.load()
            found[path] = image.format
    assert found == phantoms.images


def test_formats_modes_and_sizes_are_mixed(phantoms: PhantomSet) -> None:
    kinds, sizes = set(), set()
    for path in phantoms.images:
        with Image.open(phantoms.folder / path) as image:
            kinds.add((image.format, image.mode))
            sizes.add(image.size)
    assert kinds == {
        *(("JPEG", mode) for mode in ("L", "RGB")),
        *(("PNG", mode) for mode in ("L", "RGB", "RGBA", "P")),
        ("BMP", "L"),
        ("TIFF", "L"),
    }
    assert all(180 <= side <= 520 for size in sizes for side in size)
    assert any(width != height for width, height in sizes)


def test_a_png_goes_under_a_jpeg_name(phantoms: PhantomSet) -> None:
    assert any(path.endswith(".jpg") and kind == "PNG" for path, kind in phantoms.images.items())


def test_duplicates_repeat_the_pixels_of_their_original(phantoms: PhantomSet) -> None:
    assert len(phantoms.duplicates) == len(CLASSES)
    for copy, original in phantoms.duplicates.items():
        np.testing.assert_array_equal(pixels(phantoms.folder / copy), pixels(phantoms.folder / original))


def test_duplicates_are_byte_copies_and_other_formats(phantoms: PhantomSet) -> None:
    data = content(phantoms)
    assert {data[copy] == data[original] for copy, original in phantoms.duplicates.items()} == {True, False}


def test_every_kind_of_bad_file_is_there(phantoms: PhantomSet) -> None:
    assert Counter(phantoms.bad.values()) == {
        "truncated": 1,
        "not_an_image": 2,
        "empty": 1,
        "too_small": 1,
        "unsupported_form": 1,
        "label_conflict": 2,
    }


def bad_path(phantoms: PhantomSet, reason: str) -> Path:
    return phantoms.folder / next(path for path, why in phantoms.bad.items() if why == reason)


@pytest.mark.parametrize("reason", ["truncated", "not_an_image", "empty"])
def test_broken_files_cannot_be_decoded(phantoms: PhantomSet, reason: str) -> None:
    with pytest.raises(OSError, match=r"truncated|cannot identify"):
        pixels(bad_path(phantoms, reason))


def test_the_animation_has_several_frames(phantoms: PhantomSet) -> None:
    with Image.open(bad_path(phantoms, "unsupported_form")) as image:
        assert (image.format, image.n_frames) == ("GIF", 3)


def test_the_tiny_image_is_tiny(phantoms: PhantomSet) -> None:
    assert pixels(bad_path(phantoms, "too_small")).shape == (8, 8, 3)


def test_the_disputed_image_lies_under_two_labels(phantoms: PhantomSet) -> None:
    paths = [path for path, why in phantoms.bad.items() if why == "label_conflict"]
    assert len({path.split("/")[0] for path in paths}) == 2
    assert len({(phantoms.folder / path).read_bytes() for path in paths}) == 1


def test_all_but_the_healthy_have_a_lesion_inside_the_picture(phantoms: PhantomSet) -> None:
    assert set(phantoms.lesions) == {path for path in phantoms.images if not path.startswith("notumor/")}
    for path, (left, top, right, bottom) in phantoms.lesions.items():
        height, width, _ = pixels(phantoms.folder / path).shape
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height


class Lesions(NamedTuple):
    """Means over some images: shares of the picture, and grey against the head's."""

    area: float
    off_centre: float
    off_midline: float
    brightness: float


def lesions_of(label: str) -> Lesions:
    rows = []
    for index in range(PER_CLASS):
        image, box = draw_phantom(label, index, seed=5)
        assert box is not None
        left, top, right, bottom = box
        height, width = image.shape
        x, y = abs((left + right) / 2 / width - 0.5), abs((top + bottom) / 2 / height - 0.5)
        brightness = np.median(image[top:bottom, left:right]) / np.median(image[image > 30])
        rows.append(((right - left) * (bottom - top) / image.size, np.hypot(x, y), x, brightness))
    return Lesions(*np.mean(rows, axis=0))


def test_lesions_differ_between_classes() -> None:
    glioma, meningioma, pituitary = map(lesions_of, ("glioma", "meningioma", "pituitary"))
    assert glioma.area > 1.3 * meningioma.area > 1.3 * 1.3 * pituitary.area
    assert meningioma.off_centre > 1.3 * max(glioma.off_centre, pituitary.off_centre)
    assert glioma.off_midline > 1.5 * pituitary.off_midline
    assert min(meningioma.brightness, pituitary.brightness) > 1.2 * glioma.brightness


def test_no_image_is_refused() -> None:
    with pytest.raises(DataError, match="0 images per class"):
        draw_phantoms(None, 0)  # type: ignore[arg-type]
