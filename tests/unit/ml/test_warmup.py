import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorflow_serving.apis import prediction_log_pb2

from ml.export import export_model
from ml.preprocessing import decode_batch
from ml.warmup import write_warmup

CLASSES = ("round", "square")


@pytest.fixture(scope="module")
def image():
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 40, 3), np.uint8)).save(stream, "JPEG")
    return stream.getvalue()


@pytest.fixture(scope="module")
def folder(image, tmp_path_factory):
    def model(images):
        means = tf.reduce_mean(images, axis=(1, 2))[:, :2]
        return {"probabilities": tf.nn.softmax(means), "attention": images[:, :2, :2, 0]}

    folder = tmp_path_factory.mktemp("warmup") / "model"
    export_model(model, 32, CLASSES, folder)
    write_warmup(folder, "shapes", image)
    return folder


@pytest.fixture(scope="module")
def requests(folder):
    """Of each signature."""
    found = {}
    for record in tf.data.TFRecordDataset(str(folder / "assets.extra/tf_serving_warmup_requests")):
        log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
        request = getattr(log, log.WhichOneof("log_type")).request
        found[request.model_spec.signature_name] = log.WhichOneof("log_type"), request
    return found


def test_every_signature_has_a_request_of_its_kind(requests):
    assert {name: kind for name, (kind, _) in requests.items()} == {
        "serving_default": "predict_log",
        "serving_tensor": "predict_log",
        "explain": "predict_log",
        "classify": "classify_log",
    }
    assert {request.model_spec.name for _, request in requests.values()} == {"shapes"}


def test_all_requests_ask_about_the_same_image(requests, image):
    by_name = {name: request for name, (_, request) in requests.items()}
    (example,) = by_name["classify"].input.example_list.examples

    for name in ("serving_default", "explain"):
        assert tf.make_ndarray(by_name[name].inputs["image_bytes"]).tolist() == [image]
    assert example.features.feature["image_bytes"].bytes_list.value == [image]
    sent = tf.make_ndarray(by_name["serving_tensor"].inputs["images"])
    np.testing.assert_array_equal(sent, decode_batch(tf.constant([image]), 32))


def test_model_can_answer_them(requests, folder):
    signatures = tf.saved_model.load(str(folder)).signatures

    for name in ("serving_default", "serving_tensor", "explain"):
        inputs = {key: tf.constant(tf.make_ndarray(value)) for key, value in requests[name][1].inputs.items()}
        assert signatures[name](**inputs)["status"].numpy().tolist() == [b"OK"]
    serialised = [example.SerializeToString() for example in requests["classify"][1].input.example_list.examples]
    assert signatures["classify"](inputs=tf.constant(serialised))["scores"].shape == (1, 2)
