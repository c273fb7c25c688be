"""Contract, section 3: predict requests in JSON."""

import base64
import json

import pytest

from served_requests import post


def predictions(answer):
    assert answer.status_code == 200, answer.text
    return answer.json()["predictions"]


def outputs(answer):
    assert answer.status_code == 200, answer.text
    return answer.json()["outputs"]


def error(answer):
    return answer.status_code, answer.json()["error"]


@pytest.mark.parametrize(
    ("model", "body", "status", "message"),
    [
        pytest.param("nobody", b"{", 400, "JSON Parse error", id="JSON before the model"),
        pytest.param("nobody", b"[]", 400, "must be an object", id="top level before the model"),
        pytest.param("nobody", {"signature_name": 1}, 400, "'signature_name' must be a string", id="name before model"),
        pytest.param("nobody", {"signature_name": "x"}, 404, "Servable not found", id="model before signature"),
        pytest.param("several", {"signature_name": "x"}, 400, '"x" not found', id="signature before form"),
        pytest.param("several", {"instances": [1], "inputs": 1}, 400, "exactly one of", id="form before tensors"),
        pytest.param("several", {"instances": ["a"]}, 400, "not of expected type: float", id="tensors before the run"),
        pytest.param(
            "several", {"signature_name": "positive", "instances": [-1]}, 400, "not positive", id="the run at last"
        ),
    ],
)
def test_the_order_of_checks_decides_which_error_wins(ask_rest, model, body, status, message):
    answered, text = error(post(ask_rest, body, model=model))

    assert (answered, message in text) == (status, True)


def test_bytes_after_the_first_complete_value_are_ignored(ask_rest):
    assert predictions(post(ask_rest, b'{"instances": [1.0]} } and more')) == [0.5]


def test_an_empty_body_is_an_error_of_its_own(ask_rest):
    assert error(post(ask_rest, b"")) == (400, "JSON Parse error: The document is empty")


def test_numbers_that_strict_json_does_not_know_are_taken(ask_rest):
    body = b'{"signature_name": "echo", "inputs": ["a"], "other": [NaN, Infinity, -Infinity]}'

    assert post(ask_rest, body).status_code == 200


@pytest.mark.parametrize("instances", [[], {}, "a", 1, None], ids=["empty", "object", "string", "number", "null"])
def test_instances_are_a_list_that_is_not_empty(ask_rest, instances):
    assert error(post(ask_rest, {"instances": instances}))[0] == 400


def test_instances_are_all_objects_or_none_is(ask_rest):
    assert error(post(ask_rest, {"instances": [{"x": 1}, 2]}))[0] == 400
    assert predictions(post(ask_rest, {"instances": [{"x": 1}, {"x": 2}]})) == [0.5, 1]
    assert predictions(post(ask_rest, {"instances": [1, 2]})) == [0.5, 1]


def test_a_base64_object_counts_as_a_value_and_not_as_a_named_input(ask_rest):
    encoded = {"b64": base64.b64encode(b"abc").decode()}

    answer = post(ask_rest, {"signature_name": "length", "instances": [encoded, "ab"]})

    assert predictions(answer) == [3, 2]


@pytest.mark.parametrize("key", ["instances", "inputs"])
def test_several_inputs_need_names(ask_rest, key):
    assert error(post(ask_rest, {"signature_name": "add", key: [1]}))[0] == 400


@pytest.mark.parametrize("row", [{"x": [1, 2]}, {"x": [1, 2], "n": 1, "z": 1}], ids=["missing", "extra"])
def test_the_names_of_a_row_are_exactly_the_signatures(ask_rest, row):
    assert error(post(ask_rest, {"signature_name": "add", "instances": [row]}))[0] == 400


def test_extra_keys_of_columns_are_silently_ignored(ask_rest):
    inputs = {"x": [[1, 2]], "n": [3], "z": "anything"}

    assert outputs(post(ask_rest, {"signature_name": "add", "inputs": inputs})) == {"total": [6.0], "n": [3]}


def test_a_missing_column_is_named(ask_rest):
    status, text = error(post(ask_rest, {"signature_name": "add", "inputs": {"x": [[1, 2]]}}))

    assert (status, text.endswith("n")) == (400, True)


def test_rows_are_joined_with_a_new_dimension_and_columns_come_as_they_are(ask_rest):
    assert predictions(post(ask_rest, {"signature_name": "longs", "instances": [[1, 2], [3, 4]]})) == [[1, 2], [3, 4]]
    assert outputs(post(ask_rest, {"signature_name": "longs", "inputs": [[1, 2]]})) == [[1, 2]]


@pytest.mark.parametrize(
    ("values", "level"),
    [([[1, 2], [3]], 1), ([[1], [2, 3]], 1), ([[1], 2], 1), ([[1], [[2]]], 2), ([1, [2]], 1)],
    ids=["shorter", "longer", "scalar", "deeper", "list beside a scalar"],
)
def test_ragged_lists_name_their_level(ask_rest, values, level):
    status, text = error(post(ask_rest, {"signature_name": "longs", "inputs": values}))

    assert (status, f"level: {level}" in text or f"level {level}" in text) == (400, True)


@pytest.mark.parametrize(
    ("signature", "value", "expected"),
    [
        ("half", 3, 1.5),
        ("half", 1e300, float("inf")),
        ("half", 1e-300, 0),
        ("longs", [2**63 - 1], [2**63 - 1]),
        ("bytes_", 200, 200),
        ("bytes_", 300, 44),
        ("bools", True, True),
        ("length", "abc", 3),
    ],
    ids=["integer as float", "too large", "too small", "int64", "uint8", "narrower than int32", "bool", "string"],
)
def test_a_value_that_its_type_takes(ask_rest, signature, value, expected):
    assert predictions(post(ask_rest, {"signature_name": signature, "instances": [value]})) == [expected]


@pytest.mark.parametrize(
    ("signature", "value"),
    [
        ("bytes_", 1.0),
        ("bytes_", 2**31),
        ("longs", [2**63]),
        ("longs", [1.0]),
        ("bools", 1),
        ("bools", "true"),
        ("length", 1),
        ("half", "1"),
        ("half", True),
        ("half", None),
    ],
)
def test_a_value_that_its_type_does_not_take(ask_rest, signature, value):
    assert error(post(ask_rest, {"signature_name": signature, "instances": [value]}))[0] == 400


def test_a_type_without_a_json_form_is_not_implemented(ask_rest):
    assert error(post(ask_rest, {"signature_name": "halves", "instances": [1]}))[0] == 501


def test_any_text_input_takes_base64_whatever_its_name(ask_rest):
    assert predictions(post(ask_rest, {"signature_name": "length", "instances": [{"b64": "AAEC"}]})) == [3]


def test_text_that_is_no_base64_says_so(ask_rest):
    answer = post(ask_rest, {"signature_name": "length", "instances": [{"b64": "?"}]})

    assert error(answer) == (400, 'Unable to base64 decode "?"')


def test_offending_json_is_cut_at_256_bytes(ask_rest):
    status, text = error(post(ask_rest, json.dumps({"instances": ["a" * 1000]}).encode()))

    assert status == 400
    assert "a" * 200 in text
    assert len(text) < 400
