from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ml.confounders import STRONG, find_confounders


def found(labels, **columns):
    rows = find_confounders(pd.DataFrame(columns, dtype="string"), labels)
    return {row["attribute"]: row for row in rows}


def test_attribute_that_tells_the_label_is_as_strong_as_can_be():
    assert found([0, 1] * 50, scanner=["x", "y"] * 50)["scanner"]["association"] == pytest.approx(1)


def test_attribute_that_has_nothing_to_do_with_the_label_is_weak_even_with_many_values():
    generator = np.random.default_rng(1)
    labels = generator.integers(0, 4, 400).tolist()

    rows = [found(labels, site=generator.integers(0, 40, 400).astype(str))["site"]["association"] for _ in range(20)]

    assert max(rows) < STRONG
    assert np.mean(rows) < STRONG / 3


def test_measure_is_cramers_v_where_chance_plays_no_part():
    """Of 100,000 images three quarters agree: V of a balanced table is 2 * 0.75 - 1."""
    labels, scanner = [0] * 50_000 + [1] * 50_000, ["x"] * 37_500 + ["y"] * 12_500 + ["x"] * 12_500 + ["y"] * 37_500

    assert found(labels, scanner=scanner)["scanner"]["association"] == pytest.approx(0.5, abs=1e-4)


def test_strongest_comes_first_and_the_folder_is_left_out():
    labels = [0, 1] * 20
    values = pd.DataFrame({"folder": ["a", "b"] * 20, "weak": ["x"] * 20 + ["y"] * 20, "strong": ["p", "q"] * 20})

    assert [row["attribute"] for row in find_confounders(values.astype("string"), labels)] == ["strong", "weak"]


def test_images_of_which_the_attribute_is_not_known_do_not_count():
    row = found([0, 1, 0, 1], site=["x", "y", None, None])["site"]

    assert row["images"] == 2


@pytest.mark.parametrize("values", [["x"] * 6, [None] * 6], ids=["one value", "none known"])
def test_attribute_that_tells_nothing_apart_is_left_out(values):
    assert found([0, 1, 0, 1, 0, 1], site=values) == {}


def test_attribute_that_is_another_one_for_each_image_has_no_association():
    assert found([0, 1, 0, 1, 0, 1], site=list("uvwxyz"))["site"]["association"] == pytest.approx(0)
