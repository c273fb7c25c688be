import pytest

from ml.errors import ServingError
from serving.client import (
    DeadlineExceededError,
    InvalidRequestError,
    ModelNotFoundError,
    OverloadedError,
    ServerFaultError,
    UnavailableError,
)
from serving.client._errors import call_error
from serving.client._rest_language import rest_error


@pytest.mark.parametrize(
    ("code", "kind", "remedy"),
    [
        ("UNAVAILABLE", UnavailableError, "Is the model server up"),
        ("NOT_FOUND", ModelNotFoundError, "Has a version"),
        ("DEADLINE_EXCEEDED", DeadlineExceededError, "timeout_seconds"),
        ("RESOURCE_EXHAUSTED", OverloadedError, "fewer images"),
        ("INVALID_ARGUMENT", InvalidRequestError, "JPEG or PNG"),
        ("FAILED_PRECONDITION", InvalidRequestError, "today's export"),
        ("INTERNAL", ServerFaultError, "See the model server's log."),
        ("HTTP 418", ServerFaultError, "See the model server's log."),
    ],
)
def test_an_error_names_address_code_and_remedy(code, kind, remedy):
    error = call_error("there:1", code, "because")

    assert type(error) is kind
    assert isinstance(error, ServingError)
    assert error.code == code
    assert str(error).startswith(f"there:1: {code}: because Remedy: ")
    assert remedy in error.remedy


def test_an_unknown_label_is_told_apart_from_other_invalid_arguments():
    error = call_error("there", "INVALID_ARGUMENT", "Unrecognized servable version label: stable")

    assert isinstance(error, ModelNotFoundError)
    assert "serving.label: null" in error.remedy


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "INVALID_ARGUMENT"),
        (404, "NOT_FOUND"),
        (413, "RESOURCE_EXHAUSTED"),
        (503, "UNAVAILABLE"),
        (418, "HTTP 418"),
    ],
)
def test_http_statuses_are_the_protocols_codes(status, code):
    assert rest_error("there", status, b'{"error": "because"}').message == f"there: {code}: because"


@pytest.mark.parametrize(("body", "details"), [(b"<p>Nginx", "<p>Nginx"), (b"", "Not Found"), (b"[]", "[]")])
def test_the_text_of_something_else_at_the_port_is_told(body, details):
    assert rest_error("there", 404, body).message == f"there: NOT_FOUND: {details}"
