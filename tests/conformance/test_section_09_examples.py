"""Contract, section 9: classify, regress and multi-inference."""

import base64

import pytest

from protocols import call
from served_models import CLASSIFY, REGRESS
from served_requests import (
    classification_request,
    example,
    multi_inference_request,
    post,
    regression_request,
)


def grpc_status(method, request):
    answer = call(method, request, lambda response: response)
    return answer.status, answer.text


def results(answer):
    assert answer.status_code == 200, answer.text
    return answer.json()["results"]


def kinds(ask_rest, **features):
    return results(post(ask_rest, {"signature_name": "kinds", "examples": [features]}, "regress"))[0]


def test_grpc_classifies_examples(ask_grpc):
    response = ask_grpc.prediction.Classify(classification_request("classify", 0.25, 0.5), timeout=30)

    rows = [[(item.label, item.score) for item in row.classes] for row in response.result.classifications]
    assert rows == [[("low", 0.75), ("high", 0.25)], [("low", 0.5), ("high", 0.5)]]
    assert (response.model_spec.version.value, response.model_spec.signature_name) == (3, "classify")


def test_grpc_regresses_examples(ask_grpc):
    response = ask_grpc.prediction.Regress(regression_request("regress", 0.25, 3), timeout=30)

    assert [item.value for item in response.result.regressions] == [0.5, 6.0]
    assert response.model_spec.version.value == 3


def test_rest_answers_pairs_of_label_and_score(ask_rest):
    body = {"signature_name": "classify", "examples": [{"x": 0.25}, {"x": 0.5}]}

    assert results(post(ask_rest, body, "classify")) == [[["low", 0.75], ["high", 0.25]], [["low", 0.5], ["high", 0.5]]]


def test_rest_answers_a_value_for_each_example(ask_rest):
    body = {"signature_name": "regress", "examples": [{"x": 0.25}, {"x": 1.5}]}

    assert results(post(ask_rest, body, "regress")) == [0.5, 3.0]


def test_a_signature_without_classes_has_empty_labels(ask_grpc, ask_rest):
    response = ask_grpc.prediction.Classify(classification_request("scores", 0.25), timeout=30)
    rest = results(post(ask_rest, {"signature_name": "scores", "examples": [{"x": 0.25}]}, "classify"))

    (item,) = response.result.classifications[0].classes
    assert (item.label, item.score) == ("", 0.25)
    assert rest == [[["", 0.25]]]


def test_a_context_is_part_of_every_example_and_the_example_counts_more(ask_grpc, ask_rest):
    request = regression_request("regress")
    request.input.example_list_with_context.context.CopyFrom(_proto(0.25))
    request.input.example_list_with_context.examples.add()
    request.input.example_list_with_context.examples.add().CopyFrom(_proto(1.5))
    body = {"signature_name": "regress", "context": {"x": 0.25}, "examples": [{}, {"x": 1.5}]}

    response = ask_grpc.prediction.Regress(request, timeout=30)

    assert [item.value for item in response.result.regressions] == [0.5, 3.0]
    assert results(post(ask_rest, body, "regress")) == [0.5, 3.0]


def test_strings_and_base64_become_bytes_whole_numbers_and_booleans_int64_and_others_float(ask_rest):
    encoded = {"b64": base64.b64encode(b"abc").decode()}

    assert kinds(ask_rest, s="ab") == 200
    assert kinds(ask_rest, s=encoded) == 300
    assert kinds(ask_rest, i=7) == 7
    assert kinds(ask_rest, i=True) == 1
    assert kinds(ask_rest, f=0.5) == 0.5
    assert kinds(ask_rest, f=[0.5]) == 0.5


@pytest.mark.parametrize("feature", [{"f": 1}, {"i": 1.0}, {"s": 1}], ids=["integer", "float", "number"])
def test_a_feature_of_a_kind_that_the_model_does_not_parse_is_an_error_of_the_graph(ask_rest, feature):
    assert post(ask_rest, {"signature_name": "kinds", "examples": [feature]}, "regress").status_code == 400


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"examples": []},
        {"examples": {"x": 1.5}},
        {"examples": [1]},
        {"examples": [{"x": None}]},
        {"examples": [{"x": [[1.5]]}]},
        {"examples": [{"x": [1.5, "a"]}]},
        {"examples": [{"x": [1, 1.5]}]},
        {"examples": [{"x": {"a": 1}}]},
        {"examples": [{"x": 2**63}]},
        {"examples": [{"x": {"b64": "?"}}]},
        {"examples": [{"x": 1.5}], "context": [1]},
    ],
    ids=[
        "no examples",
        "empty",
        "object",
        "number",
        "null",
        "nested",
        "mixed",
        "two kinds of number",
        "object value",
        "too large",
        "no base64",
        "context no object",
    ],
)
def test_examples_that_have_no_form_are_bad_requests(ask_rest, body):
    answer = post(ask_rest, {"signature_name": "regress", **body}, "regress")

    assert (answer.status_code, list(answer.json())) == (400, ["error"])


@pytest.mark.parametrize("verb", ["classify", "regress"])
def test_a_signature_as_keras_exports_it_answers_400(ask_rest, verb):
    answer = post(ask_rest, {"examples": [{"x": 1.5}]}, verb)

    assert answer.status_code == 400
    assert f"Expected {'classification' if verb == 'classify' else 'regression'} signature" in answer.json()["error"]


@pytest.mark.parametrize("signature", ["serving_default", "regress", "nothing"])
def test_grpc_classify_needs_its_signature(ask_grpc, signature):
    status, text = grpc_status(ask_grpc.prediction.Classify, classification_request(signature, 1))

    assert status == "INVALID_ARGUMENT"
    assert "Expected classification signature method_name to be" in text or "No signature was found" in text


def test_scores_of_another_shape_are_an_error(ask_grpc):
    status, text = grpc_status(ask_grpc.prediction.Classify, classification_request("flat", 1))

    assert (status, "[batch_size num_classes]" in text) == ("INVALID_ARGUMENT", True)


def test_an_input_without_examples_is_empty(ask_grpc):
    for method, request in (
        (ask_grpc.prediction.Classify, classification_request("classify")),
        (ask_grpc.prediction.Regress, regression_request("regress")),
        (ask_grpc.prediction.MultiInference, multi_inference_request(("classify", CLASSIFY), values=())),
    ):
        assert grpc_status(method, request) == ("INVALID_ARGUMENT", "Input is empty.")


def test_multi_inference_runs_signatures_that_share_their_input(ask_grpc):
    request = multi_inference_request(("classify", CLASSIFY), ("regress", REGRESS), values=(0.25, 0.5))

    scores, values = ask_grpc.prediction.MultiInference(request, timeout=30).results

    assert [row.classes[0].score for row in scores.classification_result.classifications] == [0.25, 0.5]
    assert [item.value for item in values.regression_result.regressions] == [0.5, 1.0]
    assert [result.model_spec.signature_name for result in (scores, values)] == ["classify", "regress"]
    assert scores.model_spec.version.value == 1


def of_two_models():
    request = multi_inference_request(("classify", CLASSIFY), ("regress", REGRESS))
    request.tasks[1].model_spec.name = "several"
    return request


@pytest.mark.parametrize(
    ("request_", "status", "message"),
    [
        pytest.param(multi_inference_request(), "INVALID_ARGUMENT", "Missing ModelSpec", id="no task"),
        pytest.param(
            multi_inference_request(("classify", CLASSIFY), ("classify", CLASSIFY)),
            "INVALID_ARGUMENT",
            "Duplicate evaluation of signature: classify",
            id="twice",
        ),
        pytest.param(
            multi_inference_request(("classify", "tensorflow/serving/predict")),
            "UNIMPLEMENTED",
            "Unsupported signature method_name",
            id="predict",
        ),
        pytest.param(
            multi_inference_request(("classify", CLASSIFY), ("regress", REGRESS), model="several"),
            "INVALID_ARGUMENT",
            "Input tensor must be the same for all Signatures.",
            id="inputs of their own",
        ),
        pytest.param(of_two_models(), "INVALID_ARGUMENT", "must access the same model name", id="two models"),
        pytest.param(multi_inference_request(("x", CLASSIFY)), "INVALID_ARGUMENT", "No signature was found", id="name"),
    ],
)
def test_multi_inference_errors(ask_grpc, request_, status, message):
    answered, text = grpc_status(ask_grpc.prediction.MultiInference, request_)

    assert (answered, message in text) == (status, True), text


def _proto(value):
    return type(regression_request("").input.example_list.examples.add()).FromString(example(value).SerializeToString())
