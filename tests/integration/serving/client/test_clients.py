"""All clients against a server: what they answer, and what they say when it goes wrong."""

from __future__ import annotations

import gc
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import numpy as np
import pytest
import tensorflow as tf

from ml.config import ServingSettings, Settings
from serving.client import (
    DeadlineExceededError,
    GrpcClient,
    InvalidRequestError,
    ModelNotFoundError,
    RestClient,
    Signature,
    TensorDescription,
    UnavailableError,
    VersionStatus,
)


def test_predict_agrees_with_the_saved_model_itself(kind, classifier_server, models, image):
    images = [image(seed) for seed in range(5)]
    wanted = tf.saved_model.load(str(models / "classifier" / "7")).signatures["serving_default"](
        image_bytes=tf.constant(images)
    )

    with kind.of(classifier_server) as client:
        answers = client.predict(images)

    probabilities = np.array([answer.probabilities for answer in answers])
    np.testing.assert_allclose(probabilities, wanted["probabilities"].numpy(), rtol=0, atol=1e-6)
    assert [answer.class_id for answer in answers] == wanted["class_id"].numpy().tolist()
    assert [answer.class_name.encode() for answer in answers] == wanted["class_name"].numpy().tolist()


def test_grpc_tells_which_version_answered_and_rest_does_not(classifier_server, image):
    server = classifier_server
    with (
        GrpcClient(server.host, server.grpc_port, server.name) as grpc,
        RestClient(server.host, server.rest_port, server.name) as rest,
    ):
        assert grpc.predict([image(1)])[0].version == 7
        assert rest.predict([image(1)])[0].version is None
        assert rest.predict([image(1)], version=7)[0].version == 7


def test_no_images_give_no_answers(kind, classifier_server):
    with kind.of(classifier_server) as client:
        assert client.predict([]) == []


def test_status_lists_the_versions(kind, classifier_server):
    with kind.of(classifier_server) as client:
        assert client.status() == [VersionStatus(7, "AVAILABLE", "OK", "")]


def test_metadata_describes_the_signatures(kind, classifier_server):
    with kind.of(classifier_server) as client:
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


def test_bytes_that_are_no_image_are_an_invalid_argument_to_an_older_export(kind, classifier_server, image):
    wanted = r"INVALID_ARGUMENT: Unknown image file format.*Remedy: Send JPEG or PNG"
    with kind.of(classifier_server) as client:
        with pytest.raises(InvalidRequestError, match=wanted) as caught:
            client.predict([image(1), b"this is no image"])
        assert caught.value.code == "INVALID_ARGUMENT"
        assert [answer.ok for answer in client.predict([image(1)])] == [True]


@pytest.mark.parametrize("call", ["predict", "status", "metadata"])
def test_unknown_model_is_not_found(kind, call, classifier_server, image):
    arguments = [[image(1)]] if call == "predict" else []
    wanted = r"NOT_FOUND: .*nobody.* Remedy: Has a version .*make status"
    with kind.of(classifier_server, "nobody") as client, pytest.raises(ModelNotFoundError, match=wanted):
        getattr(client, call)(*arguments)


def test_unknown_version_is_not_found(kind, classifier_server, image):
    with kind.of(classifier_server) as client, pytest.raises(ModelNotFoundError, match=r"Specific\(classifier, 8\)"):
        client.predict([image(1)], version=8)


def test_a_server_that_is_down_is_named_with_the_remedy(kind, port):
    number = port()
    wanted = rf"127\.0\.0\.1:{number}.*Is the model server up\? See `make status`"
    with kind("127.0.0.1", number, "m", 5.0) as client, pytest.raises(UnavailableError, match=wanted) as caught:
        client.status()
    assert caught.value.code == "UNAVAILABLE"


def test_a_server_that_is_silent_is_given_up_after_the_deadline(kind, port):
    with closing(socket.socket()) as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        client = kind("127.0.0.1", silent.getsockname()[1], "m", 0.5)
        started = time.monotonic()
        with client, pytest.raises((DeadlineExceededError, UnavailableError)):
            client.status()
        seconds = time.monotonic() - started
    assert 0.4 < seconds < 2


def test_a_model_with_another_signature_is_refused(kind, several_server, image):
    with kind.of(several_server) as client, pytest.raises(InvalidRequestError, match="INVALID_ARGUMENT"):
        client.predict([image(1)])


def test_clients_are_made_of_the_settings(kind, classifier_server):
    ports = {"grpc_port": classifier_server.grpc_port, "rest_port": classifier_server.rest_port}
    serving = ServingSettings(**ports, label=None)
    with kind.from_settings(Settings(model_name="classifier", serving=serving)) as client:
        assert [state.version for state in client.status()] == [7]


def test_clients_do_not_import_tensorflow():
    code = "import sys, serving.client._wire as wire; wire.message('Any'); sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.filterwarnings("error")
def test_a_client_that_was_forgotten_is_closed(classifier_server):
    def ask():
        client = RestClient(classifier_server.host, classifier_server.rest_port, classifier_server.name)
        client.status()
        return next(thread for thread in threading.enumerate() if thread.name == "rest-client")

    before = {thread for thread in threading.enumerate() if thread.name == "rest-client"}
    thread = ask()
    gc.collect()

    assert not before
    assert not thread.is_alive()


def test_threads_share_a_client(classifier_server, image):
    server, images = classifier_server, [image(seed) for seed in range(40)]
    for kind, port in ((GrpcClient, server.grpc_port), (RestClient, server.rest_port)):
        with kind(server.host, port, server.name) as client, ThreadPoolExecutor(8) as pool:
            one_by_one = [client.predict(one)[0].probabilities for one in images]
            together = list(pool.map(lambda one: client.predict(one)[0].probabilities, images))
        np.testing.assert_allclose(together, one_by_one, atol=1e-6)
