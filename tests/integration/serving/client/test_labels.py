"""What a label, a version and neither of them get during a promotion: version 4 is stable, version 5 the canary."""

from __future__ import annotations

import numpy as np
import pytest

from contract_model import expected
from ml.config import ServingSettings, Settings
from serving.client import ModelNotFoundError

PIXELS = np.random.default_rng(5).integers(0, 256, (8, 8, 3), dtype=np.uint8)
STABLE, CANARY = expected(PIXELS, 4.0), expected(PIXELS, 8.0)


def ask(client, **choice):
    return client.predict(PIXELS, **choice)[0]


def test_a_label_names_the_version_that_answers(kind, labelled):
    with kind.of(labelled, label="stable") as client:
        np.testing.assert_allclose(ask(client).probabilities, STABLE, atol=1e-6)
        np.testing.assert_allclose(ask(client, label="canary").probabilities, CANARY, atol=1e-6)
        assert (client.metadata().version, client.metadata(label="canary").version) == (4, 5)
        assert client.explain(PIXELS)[0].prediction == ask(client)


def test_who_names_no_label_gets_the_highest_version_which_may_be_the_canary(kind, labelled):
    with kind.of(labelled) as client:
        np.testing.assert_allclose(ask(client).probabilities, CANARY, atol=1e-6)
    with kind.of(labelled, label="stable") as client:
        np.testing.assert_allclose(ask(client, label="").probabilities, CANARY, atol=1e-6)


def test_a_version_is_asked_whatever_its_label(kind, labelled):
    with kind.of(labelled, label="canary") as client:
        answer = ask(client, version=4)

    np.testing.assert_allclose(answer.probabilities, STABLE, atol=1e-6)
    assert answer.version == 4


def test_an_unknown_label_is_named(kind, labelled):
    wanted = "Unrecognized servable version label: beta"
    with kind.of(labelled, label="beta") as client, pytest.raises(ModelNotFoundError, match=wanted):
        ask(client)


def test_clients_of_the_settings_ask_stable(kind, labelled):
    ports = {"grpc_port": labelled.grpc_port, "rest_port": labelled.rest_port}
    settings = Settings(model_name="colours", serving=ServingSettings(**ports))

    with kind.from_settings(settings) as client:
        np.testing.assert_allclose(ask(client).probabilities, STABLE, atol=1e-6)
    with kind.from_settings(settings, label="canary") as client:
        np.testing.assert_allclose(ask(client).probabilities, CANARY, atol=1e-6)
