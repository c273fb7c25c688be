"""The contract's section 7: what a status request answers."""

from __future__ import annotations

import threading

import pytest

from model_configs import config, latest, model, specific
from model_servers import wait_until
from serving.server.versions import RetryRule


@pytest.fixture
def ended(serve, base, publish, speak_grpc):
    """A server whose version 1 was unloaded for version 2, and whose version 3 did not load."""
    server = serve(config(model(base)))
    speaker = speak_grpc(server)
    publish(base, 2)
    speaker.wait_for(1, "END")
    (base / "3").mkdir()
    speaker.wait_for(3, "END")
    return server


def test_versions_are_listed_from_highest_to_lowest_and_ended_ones_stay(ended, speak):
    assert speak(ended).states().value == [(3, "END", "NOT_FOUND"), (2, "AVAILABLE", "OK"), (1, "END", "OK")]


def test_one_version_can_be_asked_for(ended, speak):
    speaker = speak(ended)

    assert speaker.states(version=1).value == [(1, "END", "OK")]
    assert speaker.states(version=2).value == [(2, "AVAILABLE", "OK")]


@pytest.mark.parametrize("label", ["stable", "nonsense"])
def test_a_status_request_by_label_ignores_the_label_and_lists_all_versions(ended, speak, label):
    speaker = speak(ended)

    assert speaker.states(label=label).value == speaker.states().value


@pytest.mark.parametrize(
    ("name", "version", "text"),
    [
        ("other", None, "Could not find any versions of model other"),
        ("other", 7, "Could not find version 7 of model other"),
        ("m", 7, "Could not find version 7 of model m"),
    ],
)
def test_what_is_not_there_is_not_found(ended, speak, name, version, text):
    answer = speak(ended).states(name, version)

    assert answer.is_status("NOT_FOUND")
    assert answer.text == text


def test_rest_prints_numbers_as_text_and_empty_fields(serve, speak_rest, base):
    answer = speak_rest(serve(config(model(base)))).request("GET", "/v1/models/m")

    assert answer.json() == {
        "model_version_status": [
            {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
        ]
    }


def test_a_load_that_failed_comes_with_its_message(ended, speak_rest):
    entry = speak_rest(ended).request("GET", "/v1/models/m/versions/3").json()["model_version_status"][0]

    assert entry["status"]["error_code"] == "NOT_FOUND"
    assert "saved_model" in entry["status"]["error_message"]


def test_available_is_said_only_once_requests_can_be_served(serve, speak, base, publish):
    """Asked again and again while versions come and go, the state never runs ahead of the answers."""
    speaker = speak(serve(config(model(base, latest(2)))))
    stop = threading.Event()

    def publish_all():
        for version in (2, 3):
            publish(base, version)
        stop.wait(20)

    thread = threading.Thread(target=publish_all)
    thread.start()
    seen = set()
    try:
        while (2, 3) not in seen:
            available = tuple(sorted(v for v, state, _ in speaker.states().value if state == "AVAILABLE"))
            seen.add(available)
            assert speaker.predict([1.0], version=available[-1]).ok
    finally:
        stop.set()
        thread.join()

    assert (1,) in seen


def test_a_load_that_will_be_repeated_is_loading_not_ended(serve, speak, base):
    (base / "2").mkdir()
    speaker = speak(serve(config(model(base, specific(1, 2))), retry=RetryRule(5, 60.0), wait_for_model=False))

    wait_until(lambda: speaker.state(1) == "AVAILABLE" and speaker.state(2) == "LOADING")
