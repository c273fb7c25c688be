"""The contract's section 13: another configuration, over gRPC and from the file."""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from tensorflow_serving.apis import model_management_pb2

from model_configs import config, latest, model, specific
from model_servers import wait_until

#: The file is looked at every second; a machine that is busy with other tests needs a moment more.
SOON = 6
CHANGED = "For model m platform was tensorflow and new platform requested is caffe2"


@pytest.fixture
def operator(serve, speak_grpc, base):
    """A gRPC speaker to a server of model m with version 1."""
    return speak_grpc(serve(config(model(base))))


@pytest.fixture
def broken(tmp_path):
    """A base path whose version 5 does not load."""
    (tmp_path / "broken" / "5").mkdir(parents=True)
    return tmp_path / "broken"


def test_a_configuration_is_the_full_new_state(serve, speak, speak_grpc, base, tmp_path, publish):
    publish(tmp_path / "n", 3)
    server = serve(config(model(base)))
    assert speak_grpc(server).reload(config(model(tmp_path / "n", name="n"))).ok

    speaker = speak(server)

    assert speaker.predict([2.0], "n").value == [6.0]
    wait_until(lambda: speaker.predict([2.0], "m").is_status("NOT_FOUND"))
    assert speaker.predict([2.0], "m").text == "Servable not found for request: Latest(m)"
    assert speaker.states("m").value == [(1, "END", "OK")]


def test_only_a_list_of_models_is_accepted(operator):
    for text in ("", 'custom_model_config { type_url: "x" }'):
        answer = operator.reload(text)

        assert answer.status == "INVALID_ARGUMENT"
        assert answer.text.endswith("Only ModelConfigList is currently supported")


@pytest.mark.parametrize(
    ("models", "code", "text"),
    [
        ((model("/a"), model("/b")), "INVALID_ARGUMENT", "Illegal to list model m multiple times in config list"),
        (
            (model("a/b"),),
            "INVALID_ARGUMENT",
            "Expected model m to have an absolute path or URI; got base_path()=a/b",
        ),
        (
            (model("/a", platform="caffe2"),),
            "INVALID_ARGUMENT",
            f"Illegal to change a model's platform. {CHANGED}",
        ),
        (
            (model("/a", name="n", platform="caffe2"),),
            "INVALID_ARGUMENT",
            "Model n requests unsupported platform caffe2",
        ),
        (
            (model("/a", name="n", platform=None),),
            "INVALID_ARGUMENT",
            "Illegal setting neither ModelServerConfig::model_type (deprecated) nor ModelServerConfig::model_platform.",
        ),
    ],
    ids=["a name twice", "a relative path", "another platform", "an unknown platform", "no platform"],
)
def test_a_wrong_configuration_is_refused_and_what_serves_goes_on(operator, models, code, text):
    answer = operator.reload(config(*models))

    assert (answer.status, answer.text) == (code, text)
    assert operator.predict([1.0]).ok


def test_the_old_field_for_the_platform_is_understood(operator, base):
    old = model(base, platform=None).replace('name: "m"', 'name: "m" model_type: TENSORFLOW')

    assert operator.reload(config(old)).ok


def test_the_result_is_in_the_response_too(operator, base):
    response = operator.reload(config(model(base))).value

    assert isinstance(response, model_management_pb2.ReloadConfigResponse)
    assert (response.status.error_code, response.status.error_message) == (0, "")
    assert list(response.metric) == []


def test_an_empty_list_unloads_every_model(operator):
    assert operator.reload(config()).ok

    operator.wait_for(1, "END")


def test_the_same_configuration_again_is_allowed_and_loads_nothing_again(operator, base, caplog):
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            assert operator.reload(config(model(base))).ok

    assert "loaded version" not in caplog.text


def test_the_call_blocks_until_every_new_model_has_a_version(operator, base, tmp_path, publish):
    both = config(model(base), model(tmp_path / "late", name="late"))
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(operator.reload, both)
        time.sleep(0.5)
        assert not call.done()
        publish(tmp_path / "late", 2)

        assert call.result(20).ok
    assert operator.predict([1.0], "late").value == [2.0]


def test_counters_that_are_asked_for_come_back_as_increases(operator, base, tmp_path, publish):
    both = config(model(base), model(tmp_path / "late", name="late"))
    assert operator.predict([1.0]).ok
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(operator.reload, both, metrics=["/tensorflow/serving/request_count", "/nonsense"])
        time.sleep(0.5)
        for _ in range(3):
            assert operator.predict([1.0]).ok
        publish(tmp_path / "late", 2)

        increases = call.result(20).value.metric
    assert [(metric.name, metric.int64_value_increase) for metric in increases] == [
        ("/tensorflow/serving/request_count", 3)
    ]


def test_new_versions_of_a_model_that_is_known_are_not_waited_for(operator, base):
    assert operator.reload(config(model(base, specific(1, 7)))).ok


def test_a_failed_load_of_a_new_model_is_unknown_with_the_reason(operator, base, broken):
    answer = operator.reload(config(model(base), model(broken, name="b")))

    assert answer.status == "UNKNOWN"
    assert answer.text.startswith("1 model(s) did not become available: {{{name: b version: 5} due to error: NOT_FOUND")
    assert str(broken / "5") in answer.text
    assert operator.predict([1.0]).ok


def test_a_failed_load_of_a_model_that_is_known_is_no_error_of_the_call(operator, base):
    (base / "5").mkdir()

    assert operator.reload(config(model(base, latest(2)))).ok
    operator.wait_for(5, "END")
    assert operator.predict([1.0]).value == [1.0]


def test_dropping_and_adding_a_model_again_is_another_chance_for_a_broken_version(operator, broken, publish):
    with_broken = config(model(broken, name="b"))
    assert operator.reload(with_broken).status == "UNKNOWN"
    (broken / "5").rmdir()
    publish(broken, 3, "5")
    assert operator.reload(with_broken).ok
    assert operator.reload(config()).ok

    assert operator.reload(with_broken).ok
    assert operator.predict([1.0], "b").value == [3.0]


def test_a_call_ends_with_its_deadline_and_holds_no_thread_after_it(operator, base, tmp_path):
    for number in range(12):
        never = config(model(base), model(tmp_path / "never", name=f"never-{number}"))
        assert operator.reload(never, seconds=0.2).status == "DEADLINE_EXCEEDED"

    assert operator.predict([1.0]).ok


def test_calls_that_wait_do_not_take_the_threads_that_predictions_need(operator, base, tmp_path):
    calls = 16
    started = threading.Barrier(calls + 1)

    def reload(number):
        started.wait()
        return operator.reload(config(model(base), model(tmp_path / f"n{number}", name=f"n{number}")), seconds=3)

    with ThreadPoolExecutor(calls) as pool:
        answers = [pool.submit(reload, number) for number in range(calls)]
        started.wait()
        time.sleep(0.3)
        assert operator.predict([1.0]).ok
        assert not all(answer.done() for answer in answers)

        assert {answer.result().status for answer in answers} <= {"DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "ABORTED"}


def test_a_call_whose_model_a_later_one_drops_ends(operator, base, tmp_path):
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(operator.reload, config(model(base), model(tmp_path / "never", name="never")))
        time.sleep(0.3)
        assert operator.reload(config(model(base))).ok

        answer = call.result(5)
    assert (answer.status, answer.text) == ("ABORTED", "A later configuration drops never")


def test_a_call_that_waits_ends_when_the_server_stops(serve, speak_grpc, base, tmp_path):
    server = serve(config(model(base)))
    operator = speak_grpc(server)
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(operator.reload, config(model(base), model(tmp_path / "never", name="never")))
        time.sleep(0.3)
        assert server.server.close()

        assert call.result(5).status in {"CANCELLED", "UNAVAILABLE"}


def test_a_change_takes_effect_at_once_whatever_the_poll_interval(serve, speak_grpc, base, publish):
    publish(base, 2)
    operator = speak_grpc(serve(config(model(base, specific(1))), poll_seconds=3600.0))

    assert operator.reload(config(model(base, specific(2)))).ok

    wait_until(lambda: operator.predict([1.0]).value == [2.0], SOON)


def test_the_file_is_followed_and_a_broken_one_is_logged_once_and_skipped(
    serve, speak, base, publish, config_path, caplog
):
    speaker = speak(serve(config(model(base, specific(1))), model_config_poll_seconds=0.05))
    publish(base, 2)
    with caplog.at_level(logging.ERROR):
        config_path.write_text("model_config_list { config { name: ")
        time.sleep(0.5)
        config_path.unlink()
        time.sleep(0.5)

    assert caplog.text.count("Invalid protobuf file") == 1
    assert caplog.text.count("cannot be read") == 1
    assert speaker.predict([1.0]).value == [1.0]
    config_path.write_text(config(model(base, specific(2))))
    wait_until(lambda: speaker.predict([1.0]).value == [2.0], SOON)


def test_without_a_poll_interval_the_file_is_read_once(serve, speak, base, publish, config_path):
    speaker = speak(serve(config(model(base, specific(1)))))
    publish(base, 2)
    config_path.write_text(config(model(base, specific(2))))

    time.sleep(0.5)

    assert speaker.predict([1.0]).value == [1.0]


def test_the_file_overrides_a_configuration_that_came_over_grpc(serve, speak_grpc, base, publish):
    publish(base, 2)
    operator = speak_grpc(serve(config(model(base, specific(1))), model_config_poll_seconds=0.05))

    assert operator.reload(config(model(base, specific(2)))).ok

    operator.wait_for(1)
    wait_until(lambda: operator.predict([1.0]).value == [1.0])


def test_a_new_model_in_the_file_that_never_comes_does_not_stop_the_file_from_being_followed(
    serve, speak, base, publish, config_path, tmp_path
):
    speaker = speak(serve(config(model(base, specific(1))), model_config_poll_seconds=0.05))
    publish(base, 2)
    config_path.write_text(config(model(base, specific(1)), model(tmp_path / "never", name="never")))
    time.sleep(0.3)
    config_path.write_text(config(model(base, specific(2))))

    wait_until(lambda: speaker.predict([1.0]).value == [2.0], SOON)


def test_an_empty_list_at_the_start_opens_the_ports_at_once_and_the_file_brings_the_first_model(
    serve, speak, base, config_path
):
    speaker = speak(serve(config(), model_config_poll_seconds=0.05))
    assert speaker.predict([1.0]).is_status("NOT_FOUND")
    assert speaker.states().text == "Could not find any versions of model m"

    config_path.write_text(config(model(base)))

    wait_until(lambda: speaker.predict([1.0]).value == [1.0], 5)
