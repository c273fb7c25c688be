import pytest

from ml.extraction import Extracted, FeatureMaps
from ml.feature_plan import (
    extraction_seconds,
    load_maps,
    load_part,
    plan_parts,
    store_extracted,
    store_maps,
    store_part,
)
from ml.sources import ImageSource
from ml.tombstones import write_tombstones

IMAGES = [ImageSource(f"id{index}", f"images/{index}.png") for index in range(7)]


def test_what_all_variants_lack_is_one_backlog():
    assert plan_parts({"a": IMAGES, "b": IMAGES}, 4) == [(("a", "b"), IMAGES[:4]), (("a", "b"), IMAGES[4:])]


def test_every_image_is_in_one_part_with_the_variants_that_lack_it():
    parts = plan_parts({"a": IMAGES[:5], "b": IMAGES[3:], "c": []}, 100)

    assert parts == [(("a",), IMAGES[:3]), (("a", "b"), IMAGES[3:5]), (("b",), IMAGES[5:])]


@pytest.mark.parametrize("missing", [{}, {"a": [], "b": []}], ids=["no variants", "all cached"])
def test_nothing_missing_is_no_part(missing):
    assert plan_parts(missing, 4) == []


def test_maps_and_parts_are_read_as_they_were_stored(store):
    maps = [FeatureMaps("a", "f1", "w1", "float32"), FeatureMaps("b", "f2", "w2", "bfloat16")]

    store_maps(store, "run", maps)
    store_part(store, "run", "00000", ["a", "b"], IMAGES[:2])

    assert load_maps(store, "run") == {"a": maps[0], "b": maps[1]}
    assert load_part(store, "run", "00000") == (["a", "b"], IMAGES[:2])
    assert maps[1].prefix == "features/b/f2/"


def test_images_and_views_that_were_forgotten_since_are_left_out(store):
    view = ImageSource("id1+0123.1", "images/1.png", 1)
    store_part(store, "run", "00000", ["a"], [*IMAGES[:3], view])
    write_tombstones(store, {"image_ids": ["id1"], "pixel_id": None})

    assert load_part(store, "run", "00000") == (["a"], [IMAGES[0], IMAGES[2]])


def test_a_part_that_is_tried_again_took_the_time_of_both_tries(store):
    store_extracted(store, "run", "00000", {"a": Extracted(4, 1.5)})
    store_extracted(store, "run", "00000", {"a": Extracted(0, 0.25)})

    assert extraction_seconds(store, "run", "a") == 1.75


def test_seconds_are_those_of_all_parts(store):
    store_extracted(store, "run", "00000", {"a": Extracted(4, 1.5), "b": Extracted(4, 3.0)})
    store_extracted(store, "run", "00001", {"a": Extracted(3, 0.5)})
    store_extracted(store, "other", "00000", {"a": Extracted(4, 100.0)})

    assert extraction_seconds(store, "run", "a") == 2.0
    assert extraction_seconds(store, "run", "b") == 3.0
    assert extraction_seconds(store, "run", "c") == 0.0
