import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from serving.server.model import load_model
from serving.server.status import Code, StatusError
from serving.server.warmup import MAX_RECORDS, WARMUP_FILE


class Half(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])
    def half(self, x):
        return {"y": x / 2}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "1"
    module = Half()
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.half})
    return folder


@pytest.fixture
def warmup_file(saved):
    path = saved / WARMUP_FILE
    path.parent.mkdir(exist_ok=True)
    yield path
    path.unlink()


def record(value=1.0, signature="", name="x"):
    log = prediction_log_pb2.PredictionLog()
    log.predict_log.request.model_spec.signature_name = signature
    log.predict_log.request.inputs[name].CopyFrom(tf.make_tensor_proto(np.asarray([value])))
    return log.SerializeToString()


def write(path, *records):
    with tf.io.TFRecordWriter(str(path)) as writer:
        for item in records:
            writer.write(item)


def test_a_version_without_warm_up_loads(saved):
    assert load_model(saved, 1).run("serving_default", {"x": np.float32([3])})["y"].tolist() == [1.5]


def test_a_version_that_answers_its_warm_up_loads(saved, warmup_file):
    write(warmup_file, record(np.float32(1)), record(np.float32(2), "serving_default"))

    assert load_model(saved, 1).version == 1


REGRESSION = prediction_log_pb2.PredictionLog()
REGRESSION.regress_log.request.model_spec.name = "m"
SESSION = prediction_log_pb2.PredictionLog()
SESSION.session_run_log.request.model_spec.name = "m"


@pytest.mark.parametrize(
    ("records", "code"),
    [
        pytest.param([record(np.float32(1)), record("text")], Code.INVALID_ARGUMENT, id="wrong dtype"),
        pytest.param([record(np.float32(1), name="z")], Code.INVALID_ARGUMENT, id="wrong name"),
        pytest.param([record(np.float32(1), "other")], Code.FAILED_PRECONDITION, id="unknown signature"),
        pytest.param([b"\xff\xff"], Code.INVALID_ARGUMENT, id="unparsable"),
        pytest.param([REGRESSION.SerializeToString()], Code.INVALID_ARGUMENT, id="regress without a signature"),
        pytest.param([SESSION.SerializeToString()], Code.UNIMPLEMENTED, id="a session's run"),
        pytest.param([record(np.float32(1))] * (MAX_RECORDS + 1), Code.INVALID_ARGUMENT, id="too many"),
    ],
)
def test_a_warm_up_that_fails_fails_the_load(saved, warmup_file, records, code):
    write(warmup_file, *records)

    with pytest.raises(StatusError) as raised:
        load_model(saved, 1)

    assert raised.value.code is code


def test_a_warm_up_file_that_is_no_tfrecord_fails_the_load(saved, warmup_file):
    warmup_file.write_bytes(b"no records at all, but long enough to be read")

    with pytest.raises(StatusError, match="is no TFRecord file"):
        load_model(saved, 1)


def test_the_projects_own_warm_up_is_understood(saved, warmup_file):
    from ml.warmup import write_warmup

    write_warmup(saved, "m", b"image")

    with pytest.raises(StatusError, match=r"Sent extra: \{image_bytes\}\. Missing but required: \{x\}"):
        load_model(saved, 1)
