"""The contract's section 11: the order of loads and unloads, failures, half-copied folders."""

from __future__ import annotations

import shutil
import threading
import time

import pytest

from model_configs import config, latest, model, specific
from model_servers import wait_until
from serving.server.versions import RetryRule


class Caller(threading.Thread):
    """Predicts without a pause and keeps what it was answered."""

    def __init__(self, speaker):
        super().__init__(daemon=True)
        self.speaker = speaker
        self.stop = threading.Event()
        self.answers = []

    def run(self):
        while not self.stop.is_set():
            self.answers.append(self.speaker.predict([1.0]))

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.join(20)


@pytest.mark.parametrize("way", ["folders", "configuration"])
def test_a_swap_is_noticed_by_nobody(serve, speak, speak_grpc, base, publish, way):
    """New before old, and a request keeps the version that it began with: every answer is a declared version's."""
    server = serve(config(model(base, specific(1) if way == "configuration" else None)))
    operator = speak_grpc(server)
    with Caller(speak(server)) as caller:
        for version in (2, 3):
            publish(base, version)
            if way == "configuration":
                assert operator.reload(config(model(base, specific(version)))).ok
            operator.wait_for(version)
        if way == "configuration":
            assert operator.reload(config(model(base, specific(1)))).ok
            operator.wait_for(1)
        time.sleep(0.1)

    assert {answer.text for answer in caller.answers} == {""}
    values = [answer.value[0] for answer in caller.answers]
    order = [value for index, value in enumerate(values) if index == 0 or values[index - 1] != value]
    assert order == ([1.0, 2.0, 3.0] if way == "folders" else [1.0, 2.0, 3.0, 1.0])


def test_a_request_without_a_version_never_goes_to_one_that_is_loading(serve, speak, base, publish, monkeypatch):
    from serving.server import versions

    entered, leave = threading.Event(), threading.Event()
    real = versions.VersionManager._try

    def slow(manager, version, *rest):
        if version == 2:
            entered.set()
            leave.wait(20)
        real(manager, version, *rest)

    monkeypatch.setattr(versions.VersionManager, "_try", slow)
    speaker = speak(serve(config(model(base))))
    publish(base, 2)
    assert entered.wait(10)

    assert speaker.predict([1.0]).value == [1.0]
    assert speaker.predict([1.0], version=2).is_status("NOT_FOUND")
    leave.set()
    speaker.wait_for(2)


def test_a_failed_load_is_repeated_and_then_ends_while_the_old_version_serves_on(serve, speak, base, caplog):
    speaker = speak(serve(config(model(base)), retry=RetryRule(2, 0.1)))
    (base / "2").mkdir()
    speaker.wait_for(2, "END")

    assert speaker.predict([1.0]).value == [1.0]
    assert [f"attempt {number}, " in caplog.text for number in (1, 2, 3, 4)] == [True, True, True, False]


CURES = ["a higher version", "the folder gone for a poll", "dropped and added by a reload"]


@pytest.mark.parametrize("cure", CURES)
def test_a_version_that_failed_is_not_tried_again_although_its_files_were_repaired_and_has_three_cures(
    serve, speak_grpc, base, publish, built_versions, cure
):
    speaker = speak_grpc(serve(config(model(base))))
    shutil.copytree(built_versions / "2", base / ".2")
    (base / ".2" / "saved_model.pb").rename(base / ".2" / "aside")
    (base / ".2").rename(base / "2")
    speaker.wait_for(2, "END")
    (base / "2" / "aside").rename(base / "2" / "saved_model.pb")
    time.sleep(0.3)
    assert speaker.predict([1.0]).value == [1.0]

    if cure == "a higher version":
        publish(base, 3)
        expected = [3.0]
    elif cure == "the folder gone for a poll":
        (base / "2").rename(base / "aside")
        time.sleep(0.3)
        (base / "aside").rename(base / "2")
        expected = [2.0]
    else:
        assert speaker.reload(config()).ok
        speaker.wait_for(1, "END")
        assert speaker.reload(config(model(base))).ok
        expected = [2.0]

    wait_until(lambda: speaker.predict([1.0]).value == expected)


HALF_COPIES = {
    "no saved_model.pb": ("saved_model.pb", None, "NOT_FOUND"),
    "a saved_model.pb that is cut short": ("saved_model.pb", 100, "DATA_LOSS"),
    "no variables.index": ("variables/variables.index", None, "NOT_FOUND"),
    "no variables.data": ("variables/variables.data-00000-of-00001", None, "NOT_FOUND"),
    "a variables.data that is cut short": ("variables/variables.data-00000-of-00001", 1, "OUT_OF_RANGE"),
}


@pytest.mark.parametrize("way", HALF_COPIES)
def test_a_half_copied_version_never_serves(serve, speak, base, publish, built_versions, way):
    """Without ``variables.index`` too, which the C++ loader takes for a model without variables and serves."""
    name, size, code = HALF_COPIES[way]
    speaker = speak(serve(config(model(base))))
    half = base / ".half"
    shutil.copytree(built_versions / "2", half)
    whole = (half / name).read_bytes()
    (half / name).unlink()
    if size is not None:
        (half / name).write_bytes(whole[:size])
    half.rename(base / "2")
    speaker.wait_for(2, "END")

    assert speaker.states(version=2).value == [(2, "END", code)]
    assert speaker.predict([1.0]).value == [1.0]


def test_under_latest_2_the_lowest_goes_once_a_version_that_shall_serve_does(serve, speak, base, publish):
    publish(base, 2)
    speaker = speak(serve(config(model(base, latest(2)))))
    speaker.wait_for(1)

    publish(base, 3)
    speaker.wait_for(3)
    speaker.wait_for(1, "END")

    assert speaker.state(2) == "AVAILABLE"
