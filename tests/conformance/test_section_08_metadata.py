"""The contract's section 8: what a metadata request answers."""

from __future__ import annotations

import pytest

from model_configs import config, latest, model


@pytest.fixture
def server(serve, base, publish, speak_grpc):
    """Versions 1, as ``stable``, and 2."""
    publish(base, 2)
    local = serve(config(model(base, latest(2), stable=1)), allow_version_labels_for_unavailable_models=True)
    for version in (1, 2):
        speak_grpc(local).wait_for(version)
    return local


def test_rest_nests_the_signatures_twice_and_prints_defaults(server, speak_rest):
    answer = speak_rest(server).request("GET", "/v1/models/m/metadata").json()

    assert answer["model_spec"] == {"name": "m", "signature_name": "", "version": "2"}
    assert list(answer["metadata"]) == ["signature_def"]
    assert list(answer["metadata"]["signature_def"]) == ["signature_def"]
    signature = answer["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert signature["method_name"] == "tensorflow/serving/predict"
    assert signature["inputs"]["x"] == {
        "dtype": "DT_FLOAT",
        "name": "serving_default_x:0",
        "tensor_shape": {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False},
    }


def test_the_internal_signature_of_the_start_is_listed(server, speak):
    assert "__saved_model_init_op" in speak(server).metadata().value[1]


@pytest.mark.parametrize(
    ("choice", "version"), [({}, 2), ({"version": 1}, 1), ({"label": "stable"}, 1)], ids=["none", "number", "label"]
)
def test_a_version_is_chosen_as_for_a_prediction(server, speak, choice, version):
    assert speak(server).metadata(**choice).value[0] == version


@pytest.mark.parametrize(
    ("choice", "code"),
    [({"name": "n"}, "NOT_FOUND"), ({"version": 7}, "NOT_FOUND"), ({"label": "x"}, "INVALID_ARGUMENT")],
    ids=["model", "version", "label"],
)
def test_what_is_not_served_has_no_metadata(server, speak, choice, code):
    assert speak(server).metadata(**choice).is_status(code)
