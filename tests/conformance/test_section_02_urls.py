"""The contract's section 2: the grammar of REST's URLs, over the wire."""

from __future__ import annotations

import gzip
import json

import pytest

from model_configs import config, model
from model_servers import start_local
from protocols import Rest
from serving.server.options import ServerOptions

BODY = json.dumps({"instances": [2.0]})


@pytest.fixture(scope="module")
def rest(tmp_path_factory, publish):
    """A REST speaker to a server of model m, version 1 as ``stable``, and of one whose name needs an escape."""
    folder = tmp_path_factory.mktemp("urls")
    publish(folder / "m", 1)
    path = folder / "models.config"
    path.write_text(config(model(folder / "m", stable=1), model(folder / "m", name="a b")))
    local = start_local(ServerOptions(model_config_file=path, allow_version_labels_for_unavailable_models=True))
    speaker = Rest(local)
    yield speaker
    speaker.close()
    assert local.server.close()


@pytest.mark.parametrize("choice", ["", "/versions/1", "/versions/0001", "/labels/stable", "/LABELS/stable"])
@pytest.mark.parametrize("rest_of_path", ["", "/metadata", ":predict"], ids=["status", "metadata", "predict"])
def test_a_version_is_chosen_by_number_by_label_or_not_at_all(rest, choice, rest_of_path):
    path = f"/v1/models/m{choice}{rest_of_path}"
    answer = rest.request("POST", path, data=BODY) if rest_of_path == ":predict" else rest.request("GET", path)

    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"].startswith("application/json")


@pytest.mark.parametrize("path", ["/", "/v1", "/v2/models/m", "/metrics", "/v1x/models/m"])
def test_a_path_outside_the_api_gets_a_page_and_not_a_json_error(rest, path):
    answer = rest.request("GET", path)

    assert answer.status_code == 404
    assert answer.headers["Content-Type"].startswith("text/html")


def test_the_match_is_case_insensitive_but_a_verb_in_capitals_is_still_an_error(rest):
    assert rest.request("POST", "/V1/Models/m:predict", data=BODY).json() == {"predictions": [2.0]}

    answer = rest.request("POST", "/v1/models/m:PREDICT", data=BODY)

    assert (answer.status_code, answer.json()["error"]) == (400, "Malformed request: POST /v1/models/m:PREDICT")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/models/m/versions/abc"),
        ("GET", "/v1/models/m/version/1"),
        ("GET", "/v1/models/m/label/x"),
        ("GET", "/v1/models/m:predict"),
        ("POST", "/v1/models/m/metadata"),
        ("POST", "/v1/models/m"),
        ("POST", "/v1/models/m/versions/1/labels/stable:predict"),
        ("PUT", "/v1/models/m"),
        ("DELETE", "/v1/models/m"),
        ("PATCH", "/v1/models/m"),
    ],
)
def test_every_other_url_is_a_malformed_request(rest, method, path):
    answer = rest.request(method, path, data=BODY)

    assert (answer.status_code, answer.json()) == (400, {"error": f"Malformed request: {method} {path}"})
    assert answer.headers["Content-Type"].startswith("application/json")


def test_a_head_request_is_malformed_too(rest):
    assert rest.request("HEAD", "/v1/models/m").status_code == 400


def test_there_is_no_list_of_all_models(rest):
    answer = rest.request("GET", "/v1/models")

    assert (answer.status_code, answer.json()) == (400, {"error": "Missing model name in request."})


@pytest.mark.parametrize("digits", [str(2**63), "9" * 30])
def test_a_version_beyond_int64_fails_to_convert(rest, digits):
    answer = rest.request("GET", f"/v1/models/m/versions/{digits}")

    assert answer.status_code == 400
    assert answer.json()["error"].startswith("Failed to convert version")


@pytest.mark.parametrize("path", ["/v1/models/a%20b:predict", "/v1/models/a%20b/versions/1:predict"])
def test_names_are_percent_decoded_after_the_match(rest, path):
    assert rest.request("POST", path, data=BODY).json() == {"predictions": [2.0]}


def test_a_label_is_percent_decoded_after_the_match(rest):
    assert rest.request("POST", "/v1/models/m/labels/st%61ble:predict", data=BODY).json() == {"predictions": [2.0]}


@pytest.mark.parametrize(("origin", "status"), [("https://example.org", 200), ("file://x", 400), (None, 400)])
def test_options_is_only_a_pre_flight_of_web_pages(rest, origin, status):
    headers = {} if origin is None else {"Origin": origin}

    assert rest.request("OPTIONS", "/v1/models/m:predict", headers=headers).status_code == status


@pytest.mark.parametrize("on", [True, False])
def test_pages_of_other_sites_may_read_answers_only_with_the_flag(serve, speak_rest, base, on):
    speaker = speak_rest(serve(config(model(base)), enable_cors=on))

    for answer in (
        speaker.request("OPTIONS", "/v1/models/m:predict", headers={"Origin": "https://example.org"}),
        speaker.request("POST", "/v1/models/m:predict", data=BODY),
        speaker.request("GET", "/v1/models/nothing"),
    ):
        sent = {name: value for name, value in answer.headers.items() if name.startswith("Access-Control")}
        allowed = {
            "Access-Control-Allow-Origin": "*",
            "Access-Control-Allow-Methods": "POST, GET",
            "Access-Control-Allow-Headers": "Content-Type",
        }
        assert sent == (allowed if on else {})


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "image/png"])
def test_the_requests_content_type_is_not_looked_at(rest, kind):
    answer = rest.request("POST", "/v1/models/m:predict", data=BODY, headers={"Content-Type": kind})

    assert answer.json() == {"predictions": [2.0]}


def test_a_gzipped_body_is_inflated(rest):
    headers = {"Content-Encoding": "gzip"}

    answer = rest.request("POST", "/v1/models/m:predict", data=gzip.compress(BODY.encode()), headers=headers)

    assert answer.json() == {"predictions": [2.0]}
