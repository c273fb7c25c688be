"""Contract, section 14: warm-up."""

import shutil

import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from model_servers import start_local, wait_until
from protocols import Rest
from served_models import CLASSIFY, REGRESS
from served_requests import (
    classification_request,
    multi_inference_request,
    predict_request,
    regression_request,
)
from serving.server.metrics import ServerMetrics
from serving.server.model import Loading, load_model
from serving.server.options import ServerOptions
from serving.server.status import Code, StatusError
from serving.server.versions import RetryRule
from serving.server.warmup import MAX_RECORDS, WARMUP_FILE, WarmUp


def log(kind, request):
    record = prediction_log_pb2.PredictionLog()
    getattr(record, kind).request.CopyFrom(request)
    return record.SerializeToString()


GOOD = log("predict_log", predict_request())
BAD = log("predict_log", predict_request(inputs={"x": ["a"]}))


@pytest.fixture
def version(built_models, tmp_path):
    """A version of a model, and how to give it warm-up records."""
    folder = tmp_path / "base" / "1"

    def make(*records, model="several", number="1"):
        path = folder.with_name(number)
        shutil.copytree(next((built_models / model).iterdir()), path)
        warmup = path / WARMUP_FILE
        warmup.parent.mkdir()
        with tf.io.TFRecordWriter(str(warmup)) as writer:
            for record in records:
                writer.write(record)
        return path

    return make


def load(folder, warm_up=None):
    return load_model(folder, 1, Loading(warm_up=warm_up or WarmUp()))


@pytest.mark.parametrize(
    ("model", "kind", "request_"),
    [
        ("several", "predict_log", predict_request()),
        ("several", "classify_log", classification_request("classify", 0.25)),
        ("several", "regress_log", regression_request("regress", 0.25)),
        ("shared", "multi_inference_log", multi_inference_request(("classify", CLASSIFY), ("regress", REGRESS))),
    ],
)
def test_a_record_of_each_kind_is_run(version, model, kind, request_):
    metrics = ServerMetrics()

    load(version(log(kind, request_), model=model), WarmUp(metrics=metrics))

    assert "model_warmup_latency_count" in metrics.page()


@pytest.mark.parametrize(
    ("kind", "request_"),
    [
        ("predict_log", predict_request("nothing")),
        ("classify_log", classification_request("regress", 0.25)),
        ("regress_log", regression_request("classify", 0.25)),
        ("multi_inference_log", multi_inference_request(("classify", CLASSIFY), ("regress", REGRESS), model="several")),
    ],
)
def test_a_record_of_each_kind_that_fails_fails_the_load(version, kind, request_):
    with pytest.raises(StatusError):
        load(version(GOOD, log(kind, request_)))


@pytest.mark.parametrize("kind", ["session_run_log", "predict_streamed_log"])
def test_logs_of_sessions_and_streams_are_not_implemented(version, kind):
    record = prediction_log_pb2.PredictionLog()
    getattr(record, kind).SetInParent()

    with pytest.raises(StatusError) as raised:
        load(version(record.SerializeToString()))

    assert raised.value.code is Code.UNIMPLEMENTED


def test_a_missing_file_is_fine(built_models):
    assert load(built_models / "several" / "3").version == 1


def test_more_than_1000_records_fail_the_load_and_1000_do_not(version):
    assert MAX_RECORDS == 1000
    load(version(*[GOOD] * 1000))
    with pytest.raises(StatusError, match="more than 1000 records"):
        load(version(*[GOOD] * 1001, number="2"))


def test_a_failing_record_fails_the_load_of_its_version_and_the_old_one_goes_on_serving(version):
    base = version(GOOD).parent
    options = ServerOptions("m", base, poll_seconds=0.05, retry=RetryRule(0))
    local = start_local(options)
    try:
        rest = Rest(local)
        version(GOOD, BAD, number="2")
        wait_until(lambda: rest.states().value[0][:2] == (2, "END"))
        assert rest.states().value == [(2, "END", "INVALID_ARGUMENT"), (1, "AVAILABLE", "OK")]
        assert rest.predict([2]).value == [1.0]
        rest.close()
    finally:
        assert local.server.close()


def test_a_file_that_is_no_tfrecord_fails_the_load(version):
    folder = version()
    (folder / WARMUP_FILE).write_bytes(b"no records at all, but long enough to be read")

    with pytest.raises(StatusError, match="is no TFRecord file"):
        load(folder)


def test_a_record_that_cannot_be_parsed_fails_the_load(version):
    with pytest.raises(StatusError, match="cannot be parsed"):
        load(version(b"\xff\xff"))


def test_warm_up_can_be_off(version):
    assert load(version(BAD), WarmUp(enabled=False)).version == 1


def test_each_record_is_run_as_often_as_told(version, monkeypatch):
    from serving.server.model import LoadedModel

    ran = []
    original = LoadedModel.run
    monkeypatch.setattr(LoadedModel, "run", lambda *arguments: ran.append(1) or original(*arguments))

    load(version(GOOD, GOOD), WarmUp(iterations=3))

    assert len(ran) == 6


def test_the_servers_flag_says_whether(version):
    from serving.server.data_plane import DataPlane

    folder = version(BAD)
    off = DataPlane(ServerOptions(enable_model_warmup=False))

    assert off.load(folder, 1).version == 1
    with pytest.raises(StatusError):
        DataPlane(ServerOptions()).load(folder, 1)
