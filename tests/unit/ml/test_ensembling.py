import logging

import numpy as np
import pandas as pd
import pytest

from candidates import make_candidate
from ml.ensembling import form_ensemble


def held_out(labels):
    groups = [f"g{index}" for index in range(len(labels))]
    return pd.DataFrame({"label": labels, "split": "validation", "group": groups})


def says(chances):
    probabilities = np.stack([1 - np.array(chances), np.array(chances)], axis=1)
    return {"probabilities": probabilities.astype(np.float32), "attention": np.ones((len(chances), 1, 1), np.float32)}


RIGHT, WRONG = says([0.1, 0.9] * 4), says([0.6, 0.4] * 4)
NEEDS = "it needs two variants, and two validation images of each class"


@pytest.mark.parametrize(
    ("labels", "outputs", "reason"),
    [
        ([0, 1] * 4, [RIGHT], NEEDS),
        ([0] * 7 + [1], [RIGHT, WRONG], NEEDS),
        ([0, 1] * 4, [WRONG, RIGHT], "second gets all the weight"),
    ],
    ids=["one-variant", "single-image-of-a-class", "one-member-is-enough"],
)
def test_without_anything_to_vote_on_there_is_no_ensemble(context, caplog, labels, outputs, reason):
    answers = list(zip([make_candidate(variant="first"), make_candidate(variant="second")], outputs, strict=False))
    caplog.set_level(logging.INFO, "ml")

    assert form_ensemble(context, None, held_out(labels), answers) is None
    assert f"no ensemble: {reason}" in caplog.text
    assert not list(context.store.list("runs/"))
