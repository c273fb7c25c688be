from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ml.examples import choose_examples, sample_images


@pytest.fixture
def held_out():
    return pd.DataFrame(
        {
            "image_id": [f"id{index}" for index in range(6)],
            "label": [0, 0, 0, 1, 1, 0],
            "split": ["test"] * 5 + ["validation"],
        }
    )


PROBABILITIES = np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8], [0.4, 0.6], [0.3, 0.7], [1.0, 0.0]], np.float32)


def test_surest_least_sure_and_surest_wrong_of_each_class_are_shown(held_out):
    """Of class a 0.9 and 0.7 are right, 0.8 is wrong; of class b 0.7 and 0.6 are right; validation images never."""
    assert choose_examples(held_out, PROBABILITIES) == {
        0: "most confident",
        1: "least confident",
        2: "wrong",
        4: "most confident",
        3: "least confident",
    }


def test_the_only_right_image_is_the_most_confident_one(held_out):
    one = held_out.assign(split=["test", *["validation"] * 5])

    assert choose_examples(one, PROBABILITIES) == {0: "most confident"}


def test_the_first_digests_of_each_class_are_samples():
    manifest = pd.DataFrame({"image_id": list("hgfedcbax"), "label": [*["a"] * 8, "b"]})

    assert sorted(sample_images(manifest)["image_id"]) == [*"abcdef", "x"]
