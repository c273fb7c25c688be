import pytest

from serving.client import Prediction, UnexpectedAnswerError
from serving.client._answers import address_of, class_names, explanations, predictions

OUTPUTS = {"class_id": [1, 0], "class_name": ["b", "a"], "probabilities": [[0.25, 0.75], [1, 0]]}


def test_outputs_are_paired_image_by_image():
    assert predictions("there", 2, OUTPUTS, 5) == [
        Prediction(1, "b", (0.25, 0.75), 5),
        Prediction(0, "a", (1.0, 0.0), 5),
    ]


def test_an_older_export_without_a_status_answers_for_images_that_decode():
    assert [answer.ok for answer in predictions("there", 2, OUTPUTS, None)] == [True, True]


def test_each_image_has_a_status_of_its_own():
    answers = predictions("there", 2, OUTPUTS | {"status": ["OK", "UNDECODABLE"]}, None)

    assert [(answer.status, answer.ok) for answer in answers] == [("OK", True), ("UNDECODABLE", False)]


@pytest.mark.parametrize(
    "outputs",
    [{}, OUTPUTS | {"class_id": [1]}, {"class_id": [1, 0]}, OUTPUTS | {"status": ["OK"]}],
    ids=["none", "too few", "one missing", "too few statuses"],
)
def test_an_answer_that_does_not_fit_the_images_is_refused(outputs):
    with pytest.raises(UnexpectedAnswerError, match="there answered 2 images"):
        predictions("there", 2, outputs, None)


def test_an_explanation_needs_the_map():
    with pytest.raises(UnexpectedAnswerError, match="attention"):
        explanations("there", 2, OUTPUTS, None)


@pytest.mark.parametrize("outputs", [{}, {"classes": [["a"], ["a"]]}], ids=["none", "of two images"])
def test_labels_are_those_of_one_image(outputs):
    with pytest.raises(UnexpectedAnswerError, match="classes"):
        class_names("there", outputs)


@pytest.mark.parametrize(("host", "address"), [("host", "host:1"), ("::1", "[::1]:1")])
def test_addresses(host, address):
    assert address_of(host, 1) == address
