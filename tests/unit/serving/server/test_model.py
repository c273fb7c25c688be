import shutil

import numpy as np
import pytest
import tensorflow as tf

from serving.server.model import load_model
from serving.server.status import Code, StatusError


class Scale(tf.Module):
    def __init__(self):
        super().__init__()
        self.factor = tf.Variable(3.0)

    @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, "x")])
    def scale(self, x):
        return {"y": x * self.factor}

    @tf.function(input_signature=[tf.TensorSpec([], tf.string, "text")])
    def repeat(self, text):
        return {"text": text}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "4"
    module = Scale()
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.scale, "repeat": module.repeat})
    return folder


@pytest.fixture(scope="module")
def model(saved):
    return load_model(saved, 4)


def test_a_signature_is_a_function_of_arrays(model):
    assert model.run("serving_default", {"x": np.float32([[1, 2]])})["y"].tolist() == [[3, 6]]


def test_a_scalar_string_keeps_its_zeros(model):
    assert model.run("repeat", {"text": b"a\0"})["text"].item() == b"a\0"


@pytest.mark.parametrize(
    ("signature", "inputs", "code", "message"),
    [
        pytest.param("other", {}, Code.FAILED_PRECONDITION, '"other" not found', id="signature"),
        pytest.param("__saved_model_init_op", {}, Code.FAILED_PRECONDITION, "not found", id="internal signature"),
        pytest.param(
            "serving_default",
            {"z": 1.0},
            Code.INVALID_ARGUMENT,
            r"Sent extra: \{z\}\. Missing but required: \{x\}",
            id="names",
        ),
        pytest.param(
            "serving_default",
            {"x": np.int64([[1, 2]])},
            Code.INVALID_ARGUMENT,
            "to be float but int64 is provided",
            id="dtype",
        ),
        pytest.param(
            "serving_default",
            {"x": np.float32([1, 2])},
            Code.INVALID_ARGUMENT,
            r"shape \[-1, 2\] but \[2\] is provided",
            id="shape",
        ),
    ],
)
def test_what_does_not_fit_the_signature_is_refused(model, signature, inputs, code, message):
    with pytest.raises(StatusError, match=message) as raised:
        model.run(signature, inputs)

    assert raised.value.code is code


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def data_file(folder):
    return next((folder / "variables").glob("variables.data*"))


@pytest.mark.parametrize(
    ("damage", "codes"),
    [
        pytest.param(lambda folder: (folder / "saved_model.pb").unlink(), {Code.NOT_FOUND}, id="no graph"),
        pytest.param(lambda folder: truncate(folder / "saved_model.pb"), {Code.DATA_LOSS}, id="half a graph"),
        pytest.param(
            lambda folder: (folder / "variables" / "variables.index").unlink(), {Code.NOT_FOUND}, id="no index"
        ),
        pytest.param(lambda folder: data_file(folder).unlink(), {Code.NOT_FOUND, Code.UNKNOWN}, id="no data"),
        pytest.param(
            lambda folder: truncate(data_file(folder)), {Code.OUT_OF_RANGE, Code.DATA_LOSS}, id="half the data"
        ),
    ],
)
def test_half_a_copy_does_not_load(saved, tmp_path, damage, codes):
    folder = tmp_path / "5"
    shutil.copytree(saved, folder)
    damage(folder)

    with pytest.raises(StatusError) as raised:
        load_model(folder, 5)

    assert raised.value.code in codes
    assert raised.value.message


def test_a_fingerprint_is_optional(saved, tmp_path):
    folder = tmp_path / "5"
    shutil.copytree(saved, folder)
    (folder / "fingerprint.pb").unlink()

    assert load_model(folder, 5).version == 5
