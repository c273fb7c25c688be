import io
import json

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from ml.ensemble import resize_matrix, soft_vote
from ml.export import assemble_ensemble, assemble_model, export_model
from ml.head import build_head
from ml.preprocessing import PREPROCESSING_VERSION, decode_batch

CLASSES = ("glioma", "notumor", "pituitary")


def picture(seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (50, 40, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG" if seed % 2 else "PNG")
    return stream.getvalue()


@pytest.fixture(scope="module")
def images():
    return [picture(seed) for seed in range(4)]


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A model of narrow MobileNet, its folder, and what its SavedModel gives back."""
    from ml.config import Settings

    settings = Settings.model_validate(
        {
            "images": {"size": 64},
            "variants": {"narrow": {"backbone": "mobilenet", "alpha": 0.25}},
            "weights": "random",
            "train": {"units": 8, "heads": 2, "key_dim": 4},
        }
    )
    model = assemble_model(settings, "narrow", build_head((2, 2, 256), len(CLASSES), settings.train), "float32")
    folder = tmp_path_factory.mktemp("export") / "model"
    export_model(model, 64, CLASSES, folder)
    return model, folder, tf.saved_model.load(str(folder)).signatures


def test_signatures_have_the_published_names_and_types(exported):
    _, _, signatures = exported

    shapes = {
        name: {output: (spec.dtype.name, spec.shape.as_list()) for output, spec in signature.structured_outputs.items()}
        for name, signature in signatures.items()
    }
    common = {
        "probabilities": ("float32", [None, 3]),
        "class_id": ("int64", [None]),
        "class_name": ("string", [None]),
        "status": ("string", [None]),
    }
    assert shapes == {
        "serving_default": common,
        "serving_tensor": common,
        "explain": common | {"attention": ("float32", [None, 2, 2])},
        "classify": {"classes": ("string", [None, 3]), "scores": ("float32", [None, 3])},
    }


def test_bytes_tensor_and_the_model_itself_agree(exported, images):
    model, _, signatures = exported
    tensor = decode_batch(tf.constant(images), 64)

    by_bytes = signatures["serving_default"](image_bytes=tf.constant(images))["probabilities"]
    by_tensor = signatures["serving_tensor"](images=tensor)["probabilities"]

    np.testing.assert_allclose(by_bytes, by_tensor, atol=1e-5)
    np.testing.assert_allclose(by_bytes, model(tensor)["probabilities"], atol=1e-5)


def test_class_is_the_most_probable_one_by_name(exported, images):
    _, _, signatures = exported
    answer = signatures["serving_default"](image_bytes=tf.constant(images))

    expected = answer["probabilities"].numpy().argmax(axis=1)
    np.testing.assert_array_equal(answer["class_id"], expected)
    assert [name.decode() for name in answer["class_name"].numpy()] == [CLASSES[index] for index in expected]


def test_attention_of_each_image_sums_to_1(exported, images):
    _, _, signatures = exported
    attention = signatures["explain"](image_bytes=tf.constant(images))["attention"]

    np.testing.assert_allclose(tf.reduce_sum(attention, axis=(1, 2)), 1, atol=1e-5)


def test_weights_lie_once_among_the_variables(exported):
    model, folder, _ = exported
    weights = sum(weight.numpy().nbytes for weight in model.head.weights) + 4 * 218_544  # MobileNet, alpha 0.25
    small = 0.2 * weights  # biases, kernels of one channel and the operations, all of which stay in the graph

    stored = (folder / "variables/variables.data-00000-of-00001").stat().st_size
    assert 0.7 * weights < stored <= 1.01 * weights
    assert (folder / "saved_model.pb").stat().st_size < small + 700_000


def test_facts_and_labels_lie_beside_the_model(tmp_path):
    export_model(small_model(1, 4), 32, CLASSES, tmp_path, max_pixels=9, facts={"snapshot_id": "s"})

    facts = json.loads((tmp_path / "assets.extra/serving.json").read_text())
    assert facts == {
        "snapshot_id": "s",
        "tensorflow": tf.version.VERSION,
        "preprocessing": PREPROCESSING_VERSION,
        "size": 32,
        "max_pixels": 9,
        "classes": list(CLASSES),
        "signatures": ["classify", "explain", "serving_default", "serving_tensor"],
    }
    assert (tmp_path / "assets.extra/labels.txt").read_text() == "glioma\nnotumor\npituitary\n"


def small_model(seed, grid):
    """A model of 32 x 32 pixels that looks at grid x grid places."""
    tf.keras.utils.set_random_seed(seed)
    inputs = tf.keras.Input((32, 32, 3))
    places = tf.keras.layers.Conv2D(3, 32 // grid, strides=32 // grid)(inputs)
    looks = tf.keras.layers.Softmax()(tf.keras.layers.Reshape((grid * grid,))(places[..., 0]))
    probabilities = tf.keras.layers.Softmax()(tf.keras.layers.GlobalMaxPooling2D()(places) * 20.0)
    return tf.keras.Model(
        inputs, {"probabilities": probabilities, "attention": tf.keras.layers.Reshape((grid, grid))(looks)}
    )


def test_ensemble_is_one_saved_model_that_answers_with_the_vote_of_its_members(images, tmp_path):
    members, weights = [small_model(1, 4), small_model(2, 8), small_model(3, 2)], [0.5, 0.2, 0.3]
    tensor = decode_batch(tf.constant(images), 32)
    outputs = [{name: value.numpy() for name, value in member(tensor).items()} for member in members]

    export_model(assemble_ensemble(members, weights, [(4, 4), (8, 8), (2, 2)]), 32, CLASSES, tmp_path / "model")

    signatures = tf.saved_model.load(str(tmp_path / "model")).signatures
    expected = soft_vote(outputs, weights)
    explained = signatures["explain"](image_bytes=tf.constant(images))
    np.testing.assert_allclose(explained["probabilities"], expected["probabilities"], atol=1e-5)
    np.testing.assert_allclose(explained["attention"], expected["attention"], atol=1e-5)
    served = signatures["serving_tensor"](images=tensor)
    np.testing.assert_allclose(served["probabilities"], expected["probabilities"], atol=1e-5)
    assert set(served) == {"probabilities", "class_id", "class_name", "status"}


@pytest.mark.parametrize(("target", "source"), [(7, 5), (10, 7), (7, 2), (7, 7)])
def test_maps_are_resized_as_tensorflow_resizes(target, source):
    maps = np.random.default_rng(0).random((3, source, source)).astype(np.float32)
    matrix = resize_matrix(target, source)

    resized = tf.image.resize(maps[..., None], (target, target))[..., 0]
    np.testing.assert_allclose(np.einsum("yh,nhw,xw->nyx", matrix, maps, matrix), resized, atol=1e-5)
