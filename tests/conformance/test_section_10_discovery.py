"""The contract's section 10: which folders are versions, and which of them serve."""

from __future__ import annotations

import logging
import shutil
import time

import pytest

from model_configs import config, latest, model, specific
from model_servers import wait_until

ALL = "all {}"


@pytest.mark.parametrize("name", ["00000002", "2", "+2"], ids=["leading zeros", "plain", "a sign"])
def test_a_folder_is_a_version_when_its_whole_name_is_a_number(serve, speak, base, publish, name):
    publish(base, 2, name)

    assert speak(serve(config(model(base)))).states().value == [(2, "AVAILABLE", "OK")]


@pytest.mark.parametrize("name", [".tmp-9", "9.partial", "tmp", "9a", "0x9", "9 9", "9223372036854775808"])
def test_every_other_name_is_ignored_without_an_error(serve, speak, base, publish, name, caplog):
    publish(base, 2, name)
    with caplog.at_level(logging.WARNING):
        speaker = speak(serve(config(model(base))))

        assert speaker.states().value == [(1, "AVAILABLE", "OK")]
    assert caplog.text == ""


def test_of_two_names_for_one_number_one_wins_with_a_warning(serve, speak, base, publish, caplog):
    publish(base, 2, "01")
    with caplog.at_level(logging.WARNING):
        speaker = speak(serve(config(model(base))))

    assert "are both version 1" in caplog.text
    assert len(speaker.states().value) == 1


@pytest.mark.parametrize(
    ("policy", "loaded"),
    [(None, {3}), (latest(1), {3}), (latest(0), {3}), (latest(2), {2, 3}), (ALL, {1, 2, 3}), (specific(1, 2), {1, 2})],
    ids=["default", "latest 1", "latest 0 is 1", "latest 2", "all", "specific"],
)
def test_a_policy_chooses_the_versions(serve, speak, base, publish, policy, loaded):
    for version in (2, 3):
        publish(base, version)
    speaker = speak(serve(config(model(base, policy))))
    for version in loaded:
        speaker.wait_for(version)

    assert {version for version, state, _ in speaker.states().value if state == "AVAILABLE"} == loaded
    assert speaker.predict([1.0]).value == [float(max(loaded))]


def test_specific_waits_for_a_version_that_is_missing_with_one_warning(serve, speak, base, publish, caplog):
    with caplog.at_level(logging.WARNING):
        speaker = speak(serve(config(model(base, specific(1, 2)))))
        time.sleep(0.5)
    assert caplog.text.count("version 2 is to be served, but") == 1
    assert speaker.predict([1.0]).value == [1.0]

    publish(base, 2)

    speaker.wait_for(2)
    assert speaker.state(1) == "AVAILABLE"


def test_specific_does_not_list_the_folder(serve, speak, base, publish, monkeypatch):
    publish(base, 2)

    def refuse(path):
        raise AssertionError(f"{path} is listed")

    monkeypatch.setattr(type(base), "iterdir", refuse)
    speaker = speak(serve(config(model(base, specific(1, 2)))))
    speaker.wait_for(2)

    assert speaker.predict([1.0]).value == [2.0]


def test_specific_without_versions_serves_none(serve, speak, base):
    speaker = speak(serve(config(model(base, specific())), wait_for_model=False))
    time.sleep(0.3)

    assert speaker.states().is_status("NOT_FOUND")


def test_a_base_path_that_goes_missing_changes_nothing(serve, speak, base, caplog):
    for policy in (None, specific(1)):
        speaker = speak(serve(config(model(base, policy))))
        with caplog.at_level(logging.WARNING):
            base.rename(base.with_name("aside"))
            time.sleep(0.3)

            assert speaker.predict([1.0]).value == [1.0]
        assert "cannot be read, what is loaded stays" in caplog.text
        base.with_name("aside").rename(base)


@pytest.mark.parametrize("policy", [None, specific(1)], ids=["latest", "specific"])
def test_a_base_path_that_holds_no_version_unloads_everything(serve, speak, base, policy):
    speaker = speak(serve(config(model(base, policy))))
    (base / "1").rename(base / "one")

    speaker.wait_for(1, "END")

    assert speaker.predict([1.0]).is_status("NOT_FOUND")


def test_removing_the_served_version_under_latest_brings_back_the_next_lower_one(serve, speak, base, publish):
    publish(base, 2)
    speaker = speak(serve(config(model(base))))
    assert speaker.predict([1.0]).value == [2.0]

    (base / "2").rename(base / ".gone")

    wait_until(lambda: speaker.predict([1.0]).value == [1.0])
    speaker.wait_for(2, "END")


def test_replacing_the_files_of_a_loaded_version_does_nothing(serve, speak, base, built_versions):
    speaker = speak(serve(config(model(base))))
    shutil.copytree(built_versions / "3", base / "1", dirs_exist_ok=True)
    time.sleep(0.3)

    assert speaker.predict([1.0]).value == [1.0]
    assert speaker.states().value == [(1, "AVAILABLE", "OK")]


def test_two_models_have_policies_of_their_own(serve, speak, base, tmp_path, publish):
    publish(base, 2)
    for version in (1, 2):
        publish(tmp_path / "n", version)
    speaker = speak(serve(config(model(base, specific(1)), model(tmp_path / "n", name="n"))))

    assert speaker.predict([1.0], "m").value == [1.0]
    assert speaker.predict([1.0], "n").value == [2.0]
