"""Contract, section 4: predict responses in JSON."""

import base64
import json
import re

import pytest

from served_requests import post


def text(rest, signature, values, key="instances"):
    answer = post(rest, {"signature_name": signature, key: values})
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"].startswith("application/json")
    return answer.text


def value(*arguments):
    return json.loads(text(*arguments))


def test_rows_are_answered_with_predictions_and_columns_with_outputs(ask_rest):
    assert value(ask_rest, "half", [1, 3]) == {"predictions": [0.5, 1.5]}
    assert value(ask_rest, "half", [1, 3], "inputs") == {"outputs": [0.5, 1.5]}


def test_several_outputs_go_by_name_in_each_row_or_once(ask_rest):
    rows = value(ask_rest, "add", [{"x": [1, 2], "n": 3}, {"x": [0, 0], "n": 1}])
    columns = value(ask_rest, "add", {"x": [[1, 2], [0, 0]], "n": [3, 1]}, "inputs")

    assert rows == {"predictions": [{"total": 6.0, "n": 3}, {"total": 1.0, "n": 1}]}
    assert columns == {"outputs": {"total": [6.0, 1.0], "n": [3, 1]}}


@pytest.mark.parametrize(
    ("signature", "message"), [("scalar", "has no shape information"), ("ragged", "has inconsistent batch size")]
)
def test_rows_whose_outputs_are_no_batch_are_an_error_although_the_run_succeeded(ask_rest, signature, message):
    rows = post(ask_rest, {"signature_name": signature, "instances": [1, 3]})
    columns = post(ask_rest, {"signature_name": signature, "inputs": [1, 3]})

    assert (rows.status_code, message in rows.json()["error"]) == (400, True)
    assert columns.status_code == 200


def test_a_batch_without_rows_is_an_empty_list(ask_rest):
    assert value(ask_rest, "half", [], "inputs") == {"outputs": []}


def test_only_an_output_whose_name_ends_in_bytes_is_base64(ask_rest):
    assert value(ask_rest, "echo", ["é"]) == {
        "predictions": [{"text": "é", "raw_bytes": {"b64": base64.b64encode("é".encode()).decode()}}]
    }


def test_not_a_number_and_infinities_are_written_bare_which_strict_json_does_not_know(ask_rest):
    answer = post(ask_rest, b'{"instances": [NaN, Infinity, -Infinity]}').text

    assert re.findall(r"-?[A-Z]\w+", answer) == ["NaN", "Infinity", "-Infinity"]


def test_floats_have_the_digits_they_need_and_whole_ones_a_point(ask_rest):
    answer = text(ask_rest, "half", [2, 0.2, 2e10, 0.246913578])

    assert [item.strip(" ,") for item in answer.splitlines()[2:-2]] == ["1.0", "0.1", "10000000000.0", "0.12345679"]


def test_a_64_bit_integer_is_a_number(ask_rest):
    assert re.search(rf"\b{2**63 - 1}\b", text(ask_rest, "longs", [[2**63 - 1]]))
    assert '"' not in text(ask_rest, "longs", [[2**63 - 1]]).replace('"predictions"', "")
