import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.python.framework import op_def_registry

from ml.export import export_model
from ml.warmup import make_example

CLASSES = ("red", "green", "blue")
#: Of the newest TensorFlow Serving that there is, 2.20.
NEWEST_READABLE = 2288


def picture(colour):
    stream = io.BytesIO()
    Image.new("RGB", (40, 30), colour).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture(scope="module")
def images():
    """The second one is broken."""
    return [picture("red"), b"no image", picture("blue")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    def model(images):
        return {"probabilities": tf.nn.softmax(tf.reduce_mean(images, (1, 2))), "attention": images[:, :2, :2, 0] + 1}

    folder = tmp_path_factory.mktemp("signatures") / "model"
    export_model(model, 32, CLASSES, folder)
    return folder


@pytest.fixture(scope="module")
def signatures(folder):
    return tf.saved_model.load(str(folder)).signatures


def definition(folder):
    return saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes()).meta_graphs[0]


def test_broken_image_has_an_answer_of_its_own(signatures, images):
    answer = {name: value.numpy() for name, value in signatures["explain"](image_bytes=tf.constant(images)).items()}

    assert answer["status"].tolist() == [b"OK", b"UNDECODABLE", b"OK"]
    assert answer["class_id"].tolist() == [0, -1, 2]
    assert answer["class_name"].tolist() == [b"red", b"", b"blue"]
    assert not answer["probabilities"][1].any()
    assert not answer["attention"][1].any()
    np.testing.assert_allclose(answer["probabilities"][[0, 2]].sum(axis=1), 1, atol=1e-6)


def test_good_images_are_answered_as_if_the_broken_one_were_not_there(signatures, images):
    mixed = signatures["serving_default"](image_bytes=tf.constant(images))
    good = signatures["serving_default"](image_bytes=tf.constant([images[0], images[2]]))

    for name, values in good.items():
        np.testing.assert_array_equal(values, mixed[name].numpy()[[0, 2]])


def test_pixels_are_always_ok(signatures):
    answer = signatures["serving_tensor"](images=tf.zeros((2, 32, 32, 3)))

    assert answer["status"].numpy().tolist() == [b"OK", b"OK"]


def test_examples_are_classified_with_the_same_probabilities(signatures, images):
    examples = [make_example(image).SerializeToString() for image in images]

    answer = signatures["classify"](inputs=tf.constant(examples))

    predicted = signatures["serving_default"](image_bytes=tf.constant(images))["probabilities"]
    np.testing.assert_array_equal(answer["scores"], predicted)
    assert answer["classes"].numpy().tolist() == [[label.encode() for label in CLASSES]] * 3


def test_example_without_an_image_is_refused(signatures):
    with pytest.raises(tf.errors.InvalidArgumentError, match="image_bytes"):
        signatures["classify"](inputs=tf.constant([tf.train.Example().SerializeToString()]))


def test_each_signature_says_which_method_it_is_for(folder):
    methods = {
        name: signature.method_name.removeprefix("tensorflow/serving/")
        for name, signature in definition(folder).signature_def.items()
        if not name.startswith("__")
    }
    predict = dict.fromkeys(("serving_default", "serving_tensor", "explain"), "predict")
    assert methods == predict | {"classify": "classify"}


def test_graph_can_be_read_by_the_newest_model_server(folder):
    graph = definition(folder).graph_def
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    functions = {function.signature.name for function in graph.library.function}

    assert graph.versions.min_consumer <= NEWEST_READABLE
    assert tf.version.GRAPH_DEF_VERSION <= NEWEST_READABLE
    unknown = {node.op for node in nodes} - functions - {node.op for node in nodes if op_def_registry.get(node.op)}
    assert not unknown
    # Of the server's own process, and nothing that is compiled beside it.
    assert not {node.op for node in nodes if node.op.startswith(("PyFunc", "EagerPyFunc", "Xla", "TPU"))}


def test_session_answers_as_the_python_loader_does(folder, signatures, images):
    """A model server runs a graph in a session; Python's loader does not."""
    tensors = definition(folder).signature_def["serving_default"]
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tf.compat.v1.saved_model.load(session, ["serve"], str(folder))
        outputs = {name: info.name for name, info in tensors.outputs.items()}
        answer = session.run(outputs, {tensors.inputs["image_bytes"].name: images})

    for name, values in signatures["serving_default"](image_bytes=tf.constant(images)).items():
        np.testing.assert_array_equal(answer[name], values)
