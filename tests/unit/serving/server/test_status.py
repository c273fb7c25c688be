import grpc
import pytest

from serving.server.status import Code, StatusError, graph_error


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (Code.INVALID_ARGUMENT, 400),
        (Code.FAILED_PRECONDITION, 400),
        (Code.OUT_OF_RANGE, 400),
        (Code.UNAUTHENTICATED, 401),
        (Code.PERMISSION_DENIED, 403),
        (Code.NOT_FOUND, 404),
        (Code.ALREADY_EXISTS, 409),
        (Code.ABORTED, 409),
        (Code.RESOURCE_EXHAUSTED, 429),
        (Code.CANCELLED, 499),
        (Code.UNKNOWN, 500),
        (Code.INTERNAL, 500),
        (Code.DATA_LOSS, 500),
        (Code.UNIMPLEMENTED, 501),
        (Code.UNAVAILABLE, 503),
        (Code.DEADLINE_EXCEEDED, 504),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_http_status(code, status):
    assert StatusError(code, "").http_status == status


def test_codes_are_grpcs():
    assert {code.name: code.value for code in Code} == {code.name: code.value[0] for code in grpc.StatusCode}


def test_a_graphs_error_is_told_without_the_runtimes_words():
    message = (
        "Graph execution error:\n\nDetected at node map/Decode defined at (most recent call last):\n"
        "<stack traces unavailable>\nUnknown image file format.\n\t [[{{node map/Decode}}]] [Op:__inference_f_443]"
    )

    error = graph_error(3, message)

    assert (error.code, error.message) == (Code.INVALID_ARGUMENT, "Unknown image file format. [[{{node map/Decode}}]]")
