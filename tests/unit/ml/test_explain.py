import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ml.explain import overlay_examples

CLASSES = ("a", "b")


@pytest.fixture
def held_out():
    return pd.DataFrame(
        {
            "image_id": [f"id{index}" for index in range(6)],
            "uri": [f"images/{index}.png" for index in range(6)],
            "label": [0, 0, 0, 1, 1, 0],
            "split": ["test"] * 5 + ["validation"],
        }
    )


PROBABILITIES = np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8], [0.4, 0.6], [0.3, 0.7], [1.0, 0.0]], np.float32)


def test_examples_carry_truth_prediction_and_attention(held_out, store):
    stream = io.BytesIO()
    Image.new("RGB", (40, 30), (255, 0, 0)).save(stream, "PNG")
    store.put("images/2.png", stream.getvalue())
    output = {"probabilities": PROBABILITIES, "attention": np.arange(24, dtype=np.float32).reshape(6, 2, 2)}

    (example,) = overlay_examples(store, held_out, output, [2], CLASSES)

    assert (example.truth, example.predicted) == ("a", "b")
    assert example.probability == pytest.approx(0.8)
    assert (example.image.shape, example.image.dtype) == ((224, 224, 3), np.uint8)
    np.testing.assert_array_equal(example.image[100, 100], [255, 0, 0])
    np.testing.assert_array_equal(example.attention, output["attention"][2])
