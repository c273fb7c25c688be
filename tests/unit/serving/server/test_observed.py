from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from serving.server.model import load_model
from serving.server.observed import observed, unobserved
from serving.server.status import StatusError


class Half(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])
    def half(self, x):
        return {"y": x / 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("half") / "3"
    module = Half()
    tf.saved_model.save(module, str(path), signatures={"serving_default": module.half})
    return path


def ask(model):
    return model.run("serving_default", {"x": np.array([2.0, 6.0], np.float32)})


def test_an_observer_is_told_of_each_answer_and_not_of_the_load(folder):
    told = []
    model = observed(load_model, "m", told.append)(folder, 3)
    assert told == []

    outputs = ask(model)

    (seen,) = told
    assert (seen.model_name, seen.version, seen.signature) == ("m", 3, "serving_default")
    assert seen.outputs["y"].tolist() == outputs["y"].tolist() == [1.0, 3.0]
    assert seen.milliseconds > 0


def test_of_probes_nothing_is_told(folder):
    told = []
    model = observed(load_model, "m", told.append)(folder, 3)

    with unobserved(probe=True):
        assert ask(model)["y"].tolist() == [1.0, 3.0]
    with unobserved(probe=False):
        ask(model)
    ask(model)

    assert len(told) == 2


def test_an_observer_that_fails_costs_no_answer(folder, caplog):
    def fail(seen):
        raise RuntimeError("nobody thought of this")

    assert ask(observed(load_model, "m", fail)(folder, 3))["y"].tolist() == [1.0, 3.0]
    assert "nobody thought of this" in caplog.text


def test_of_a_refused_request_nothing_is_told(folder):
    told = []
    model = observed(load_model, "m", told.append)(folder, 3)

    with pytest.raises(StatusError):
        model.run("serving_default", {"z": np.zeros(1)})

    assert told == []
