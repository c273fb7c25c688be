"""Both clients against a server: what they answer, and what they say when it goes wrong."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from contextlib import closing

import numpy as np
import pytest
import tensorflow as tf

from ml.config import ServingSettings, Settings
from ml.errors import ServingError
from serving.client import GrpcClient, RestClient, Signature, TensorDescription, VersionStatus

CLIENTS = pytest.mark.parametrize("kind", [GrpcClient, RestClient], ids=["grpc", "rest"])


def connect(kind, server, name=None, timeout_seconds=20.0):
    port = server.grpc_port if kind is GrpcClient else server.rest_port
    return kind(server.host, port, name or server.name, timeout_seconds)


@CLIENTS
def test_predict_agrees_with_the_saved_model_itself(kind, classifier_server, models, image):
    images = [image(seed) for seed in range(5)]
    wanted = tf.saved_model.load(str(models / "classifier" / "7")).signatures["serving_default"](
        image_bytes=tf.constant(images)
    )

    with connect(kind, classifier_server) as client:
        answers = client.predict(images)

    probabilities = np.array([answer.probabilities for answer in answers])
    np.testing.assert_allclose(probabilities, wanted["probabilities"].numpy(), rtol=0, atol=1e-6)
    assert [answer.class_id for answer in answers] == wanted["class_id"].numpy().tolist()
    assert [answer.class_name.encode() for answer in answers] == wanted["class_name"].numpy().tolist()


def test_grpc_tells_which_version_answered_and_rest_does_not(classifier_server, image):
    with connect(GrpcClient, classifier_server) as grpc, connect(RestClient, classifier_server) as rest:
        assert grpc.predict([image(1)])[0].version == 7
        assert rest.predict([image(1)])[0].version is None
        assert rest.predict([image(1)], version=7)[0].version == 7


@CLIENTS
def test_no_images_give_no_answers(kind, classifier_server):
    with connect(kind, classifier_server) as client:
        assert client.predict([]) == []


@CLIENTS
def test_status_lists_the_versions(kind, classifier_server):
    with connect(kind, classifier_server) as client:
        assert client.status() == [VersionStatus(7, "AVAILABLE", "OK", "")]


@CLIENTS
def test_metadata_describes_the_signatures(kind, classifier_server):
    with connect(kind, classifier_server) as client:
        metadata = client.metadata()

    assert (metadata.model_name, metadata.version) == ("classifier", 7)
    assert metadata.signatures["serving_default"] == Signature(
        {"image_bytes": TensorDescription("DT_STRING", (-1,))},
        {
            "probabilities": TensorDescription("DT_FLOAT", (-1, 3)),
            "class_id": TensorDescription("DT_INT64", (-1,)),
            "class_name": TensorDescription("DT_STRING", (-1,)),
        },
    )


@CLIENTS
def test_bytes_that_are_no_image_are_an_invalid_argument(kind, classifier_server, image):
    wanted = r"INVALID_ARGUMENT: Unknown image file format.*Remedy: Send encoded JPEG or PNG"
    with connect(kind, classifier_server) as client:
        with pytest.raises(ServingError, match=wanted):
            client.predict([image(1), b"this is no image"])
        assert len(client.predict([image(1)])) == 1


@CLIENTS
@pytest.mark.parametrize("call", ["predict", "status", "metadata"])
def test_unknown_model_is_not_found(kind, call, classifier_server, image):
    arguments = [[image(1)]] if call == "predict" else []
    wanted = r"NOT_FOUND: .*nobody.* Remedy: Has a version .*make status"
    with connect(kind, classifier_server, "nobody") as client, pytest.raises(ServingError, match=wanted):
        getattr(client, call)(*arguments)


@CLIENTS
def test_unknown_version_is_not_found(kind, classifier_server, image):
    with connect(kind, classifier_server) as client, pytest.raises(ServingError, match=r"Specific\(classifier, 8\)"):
        client.predict([image(1)], version=8)


@CLIENTS
def test_a_server_that_is_down_is_named_with_the_remedy(kind, port):
    number = port()
    wanted = rf"127\.0\.0\.1:{number}.*Is the model server up\? See `make status`"
    with kind("127.0.0.1", number, "m", 5.0) as client, pytest.raises(ServingError, match=wanted):
        client.status()


@CLIENTS
def test_a_server_that_is_silent_is_given_up_after_the_deadline(kind, port):
    with closing(socket.socket()) as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        client = kind("127.0.0.1", silent.getsockname()[1], "m", 0.5)
        started = time.monotonic()
        with client, pytest.raises(ServingError, match=r"DEADLINE_EXCEEDED|UNAVAILABLE"):
            client.status()
    assert time.monotonic() - started < 3


@CLIENTS
def test_a_model_with_another_signature_is_refused(kind, several_server, image):
    with connect(kind, several_server) as client, pytest.raises(ServingError, match="INVALID_ARGUMENT"):
        client.predict([image(1)])


@CLIENTS
def test_clients_are_made_of_the_settings(kind, classifier_server):
    serving = ServingSettings(grpc_port=classifier_server.grpc_port, rest_port=classifier_server.rest_port)
    with kind.from_settings(Settings(model_name="classifier", serving=serving)) as client:
        assert [state.version for state in client.status()] == [7]


def test_clients_do_not_import_tensorflow():
    code = "import sys, serving.client._wire as wire; wire.message('Any'); sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
