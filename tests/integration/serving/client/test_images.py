"""What can be asked of an export, in all forms an image may have, by all clients."""

from __future__ import annotations

import io

import numpy as np
import PIL.Image
import pytest

from contract_model import COLOURS, SIZE, expected
from serving.client import InvalidRequestError, ModelNotFoundError, Prediction

GENERATOR = np.random.default_rng(3)
PIXELS = GENERATOR.integers(0, 256, (16, 24, 3), dtype=np.uint8)
GREY = GENERATOR.integers(0, 256, (16, 16), dtype=np.uint8)
FLOATS = GENERATOR.random((SIZE, SIZE, 3))


def encode(pixels, kind="PNG"):
    stream = io.BytesIO()
    PIL.Image.fromarray(pixels).save(stream, kind)
    return stream.getvalue()


def probabilities(answers):
    return np.array([answer.probabilities for answer in answers])


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "picture.png"
    path.write_bytes(encode(PIXELS))
    return path


def test_a_path_bytes_a_picture_and_an_array_give_the_same_answer(kind, contract_server, path):
    forms = [path, str(path), path.read_bytes(), PIL.Image.open(path), PIXELS]

    with kind.of(contract_server) as client:
        answers = client.predict(forms)

    np.testing.assert_allclose(probabilities(answers), [expected(PIXELS)] * 5, atol=1e-6)
    assert len(set(answers)) == 1
    assert answers[0].class_name == COLOURS[answers[0].class_id]
    assert answers[0].probability == max(answers[0].probabilities)


def test_grey_levels_stand_for_all_three_colours(kind, contract_server):
    with kind.of(contract_server) as client:
        answers = client.predict([GREY, PIL.Image.fromarray(GREY)])

    np.testing.assert_allclose(probabilities(answers), np.full((2, 3), 1 / 3), atol=1e-6)


def test_floats_go_to_the_signature_that_takes_them(kind, contract_server):
    with kind.of(contract_server) as client:
        answers = client.predict([FLOATS, FLOATS.astype(np.float32)])

    np.testing.assert_allclose(probabilities(answers), [expected(FLOATS * 255)] * 2, atol=1e-6)


def test_one_image_needs_no_list_and_an_array_of_four_dimensions_is_one(kind, contract_server):
    with kind.of(contract_server) as client:
        assert len(client.predict(PIXELS)) == 1
        assert len(client.predict(np.stack([PIXELS, PIXELS]))) == 2
        assert len(client.predict(np.stack([FLOATS, FLOATS, FLOATS]))) == 3


def test_floats_of_another_size_than_the_models_are_refused_by_the_server(kind, contract_server):
    wanted = "float images of the model's own size"
    with kind.of(contract_server) as client, pytest.raises(InvalidRequestError, match=wanted):
        client.predict(np.zeros((SIZE + 1, SIZE + 1, 3)))


def test_an_image_that_does_not_decode_spoils_no_other(kind, contract_server):
    with kind.of(contract_server) as client:
        answers = client.predict([b"no image", PIXELS, b""])

    assert [answer.status for answer in answers] == ["UNDECODABLE", "OK", "UNDECODABLE"]
    assert [answer.ok for answer in answers] == [False, True, False]
    version = 4 if kind.is_grpc else None
    assert answers[0] == Prediction(-1, "", (0.0, 0.0, 0.0), version, "UNDECODABLE")
    np.testing.assert_allclose(probabilities(answers)[1], expected(PIXELS), atol=1e-6)


def test_an_explanation_has_the_answer_and_the_map(kind, contract_server):
    with kind.of(contract_server) as client:
        answers = client.explain([PIXELS, b"no image"])
        plain = client.predict([PIXELS])

    assert answers[0].prediction == plain[0]
    assert (answers[0].attention.dtype, answers[0].attention.shape) == (np.float32, (SIZE, SIZE))
    grey = PIXELS.mean(axis=2).reshape(SIZE, 2, SIZE, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(answers[0].attention, grey / grey.sum(), atol=1e-5)
    assert not answers[1].prediction.ok
    assert not answers[1].attention.any()


def test_floats_cannot_be_explained(kind, contract_server):
    with kind.of(contract_server) as client, pytest.raises(InvalidRequestError, match="1 float arrays cannot be"):
        client.explain(FLOATS)


def test_classes_are_listed_in_the_order_of_the_probabilities(kind, contract_server):
    with kind.of(contract_server) as client:
        assert client.classes() == COLOURS


def test_an_export_without_the_signature_lists_no_classes(kind, classifier_server):
    with kind.of(classifier_server) as client, pytest.raises(InvalidRequestError, match="classify"):
        client.classes()


@pytest.mark.parametrize("call", ["predict", "metadata"])
def test_a_server_without_labels_says_how_to_ask_it(kind, call, contract_server):
    arguments = [PIXELS] if call == "predict" else []
    wanted = r"Unrecognized servable version label: stable.*`serving.label: null`"
    with kind.of(contract_server, label="stable") as client:
        with pytest.raises(ModelNotFoundError, match=wanted) as caught:
            getattr(client, call)(*arguments)
        assert caught.value.code == "INVALID_ARGUMENT"
        assert len(client.predict([PIXELS], version=4)) == 1
        assert len(client.predict([PIXELS], label="")) == 1


def test_a_version_and_a_label_cannot_both_be_asked(kind, contract_server):
    with kind.of(contract_server) as client, pytest.raises(InvalidRequestError, match="version 4 and label 'stable'"):
        client.predict([PIXELS], version=4, label="stable")
