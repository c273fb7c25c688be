import pytest

from ml.errors import ServingError
from serving.client import Prediction
from serving.client._answers import address_of, predictions, serving_error

OUTPUTS = {"class_id": [1, 0], "class_name": ["b", "a"], "probabilities": [[0.25, 0.75], [1, 0]]}


def test_outputs_are_paired_image_by_image():
    assert predictions("there", 2, OUTPUTS, 5) == [
        Prediction(1, "b", (0.25, 0.75), 5),
        Prediction(0, "a", (1.0, 0.0), 5),
    ]


@pytest.mark.parametrize(
    "outputs", [{}, OUTPUTS | {"class_id": [1]}, {"class_id": [1, 0]}], ids=["none", "too few", "one missing"]
)
def test_an_answer_that_does_not_fit_the_images_is_refused(outputs):
    with pytest.raises(ServingError, match="there answered 2 images"):
        predictions("there", 2, outputs, None)


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        ("UNAVAILABLE", "Is the model server up"),
        ("NOT_FOUND", "Has a version"),
        ("DEADLINE_EXCEEDED", "timeout_seconds"),
        ("INTERNAL", "See the model server's log."),
    ],
)
def test_an_error_names_address_code_and_remedy(code, remedy):
    error = serving_error("there:1", code, "because")

    assert str(error).startswith(f"there:1: {code}: because Remedy: ")
    assert remedy in error.remedy


@pytest.mark.parametrize(("host", "address"), [("host", "host:1"), ("::1", "[::1]:1")])
def test_addresses(host, address):
    assert address_of(host, 1) == address
