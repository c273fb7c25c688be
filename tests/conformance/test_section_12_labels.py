"""The contract's section 12: version labels."""

from __future__ import annotations

import pytest

from serving.server.options import ServerOptions
from serving.server.versions import RetryRule

UNAVAILABLE_LABEL = "Request to assign label to version 2 of model m, which is not currently available for inference"


@pytest.fixture
def base(tmp_path, publish):
    """A base path with version 1."""
    publish(tmp_path / "m", 1)
    return tmp_path / "m"


@pytest.fixture
def write_config(tmp_path):
    def write(text):
        path = tmp_path / "models.config"
        path.write_text(text)
        return path

    return write


def config_of(base, versions=(1,), **labels):
    """A configuration with the policy ``specific``."""
    policy = "".join(f"versions: {version} " for version in versions)
    entries = "".join(f'version_labels {{ key: "{label}" value: {version} }} ' for label, version in labels.items())
    return (
        f'model_config_list {{ config {{ name: "m" base_path: "{base}" model_platform: "tensorflow" '
        f"model_version_policy {{ specific {{ {policy} }} }} {entries} }} }}"
    )


def serve(start_server, path, **fields):
    return start_server(ServerOptions(model_config_file=path, poll_seconds=0.05, retry=RetryRule(0), **fields))


def test_a_label_answers_for_its_version(start_server, speak, speak_grpc, write_config, base, publish):
    publish(base, 2)
    server = serve(start_server, write_config(config_of(base, (1, 2))))
    assert speak_grpc(server).reload(config_of(base, (1, 2), stable=1, canary=2)).ok

    speaker = speak(server)

    assert speaker.predict([2.0], label="stable").value == [2.0]
    assert speaker.predict([2.0], label="canary").value == [4.0]
    assert speaker.predict([2.0]).value == [4.0]
    assert speaker.metadata(label="stable").value[0] == 1


def test_a_label_that_the_model_does_not_have_is_an_invalid_argument(start_server, speak, write_config, base):
    answer = speak(serve(start_server, write_config(config_of(base)))).predict([1.0], label="x")

    assert answer.is_status("INVALID_ARGUMENT")
    assert answer.text == "Unrecognized servable version label: x"
