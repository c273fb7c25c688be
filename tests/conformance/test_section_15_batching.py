"""Contract, section 15: batching."""

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from ml.errors import ServingError
from model_servers import start_local
from protocols import Grpc, call
from served_requests import classification_request, post, predict_request
from serving.server.options import ServerOptions

PARAMETERS = """
max_batch_size { value: 8 }
batch_timeout_micros { value: 200000 }
num_batch_threads { value: 2 }
allowed_batch_sizes: [4, 8]
thread_pool_name { value: "conformance" }
"""


@pytest.fixture(scope="module")
def batching(built_models, monitoring_file):
    """A server for ``several`` that joins requests for 0.2 s, up to 8 rows."""
    path = monitoring_file.with_name("batching.pbtxt")
    path.write_text(PARAMETERS)
    options = ServerOptions(
        "several",
        built_models / "several",
        enable_batching=True,
        batching_parameters_file=path,
        monitoring_config_file=monitoring_file,
    )
    local = start_local(options)
    yield local
    assert local.server.close()


@pytest.fixture
def ask(batching, speak_grpc):
    return speak_grpc(batching)


def at_once(work, arguments):
    """The results of calls that begin together."""
    barrier = threading.Barrier(len(arguments))

    def begin(argument):
        barrier.wait()
        return work(argument)

    with ThreadPoolExecutor(len(arguments)) as pool:
        return list(pool.map(begin, arguments))


def half(ask, values):
    return call(ask.prediction.Predict, predict_request("half", {"x": np.float32(values)}), read)


def read(response):
    return list(response.outputs["y"].float_val)


def test_requests_are_joined_along_their_first_dimension_and_each_gets_its_own_rows(ask):
    answers = at_once(lambda values: half(ask, values), [[2, 4], [6], [8, 10, 12], [14]])

    assert [answer.value for answer in answers] == [[1, 2], [3], [4, 5, 6], [7]]


def test_one_bad_request_does_not_harm_the_others_of_its_batch(ask):
    def positive(value):
        return call(ask.prediction.Predict, predict_request("positive", {"x": np.float32([value])}), read)

    answers = at_once(positive, [1, -1, 3])

    assert [answer.status for answer in answers] == ["OK", "INVALID_ARGUMENT", "OK"]
    assert [answer.value for answer in answers if answer.ok] == [[1], [3]]


def test_more_rows_than_a_batch_takes_are_refused(ask):
    assert half(ask, range(8)).value == [value / 2 for value in range(8)]
    answer = half(ask, range(9))

    assert answer.status == "INVALID_ARGUMENT"
    assert "Task size 9 is larger than maximum input batch size 8" in answer.text


def test_the_inputs_of_a_request_must_agree_in_their_first_dimension(ask):
    request = predict_request("add", {"x": np.float32([[1, 2]]), "n": np.int64([1, 2])})

    answer = call(ask.prediction.Predict, request, read)

    assert (answer.status, "equal 0th-dimension size" in answer.text) == ("INVALID_ARGUMENT", True)


@pytest.mark.parametrize("signature", ["scalar", "ragged"])
def test_outputs_must_have_the_batch_as_their_first_dimension(ask, signature):
    answer = call(ask.prediction.Predict, predict_request(signature, {"x": np.float32([1, 2])}), read)

    assert answer.status == "FAILED_PRECONDITION"


def test_classify_and_rest_go_through_batches_too(ask, batching, speak_rest):
    response = ask.prediction.Classify(classification_request("classify", 0.25), timeout=30)
    rest = post(speak_rest(batching), {"signature_name": "echo", "instances": ["a", "é"]})

    assert [item.label for item in response.result.classifications[0].classes] == ["low", "high"]
    assert [row["text"] for row in rest.json()["predictions"]] == ["a", "é"]


def test_the_wait_in_the_queue_is_measured(ask, batching, speak_rest):
    half(ask, [1])
    page = speak_rest(batching).request("GET", "/monitoring/prometheus/metrics").text

    assert ':tensorflow:serving:batching_session:queuing_latency_count{thread_pool_name="conformance"}' in page


def test_a_parameters_file_without_the_flag_is_an_error_at_the_start(built_models, tmp_path):
    path = tmp_path / "batching.pbtxt"
    path.write_text(PARAMETERS)

    with pytest.raises(ServingError, match="--enable_batching is not set"):
        start_local(ServerOptions("several", built_models / "several", batching_parameters_file=path))


def test_a_version_brings_its_own_parameters_if_the_server_allows_it(built_models, tmp_path):
    for name in ("with", "without"):
        shutil.copytree(built_models / "several", tmp_path / name)
    (tmp_path / "with" / "3" / "batching_params.pbtxt").write_text("max_batch_size { value: 2 }")

    for name, expected in (("with", "INVALID_ARGUMENT"), ("without", "OK")):
        options = ServerOptions(
            "several", tmp_path / name, enable_batching=True, enable_per_model_batching_parameters=True
        )
        local = start_local(options)
        speaker = Grpc(local)
        assert half(speaker, [1, 2]).value == [0.5, 1]
        assert half(speaker, [1, 2, 3]).status == expected
        speaker.close()
        assert local.server.close()
