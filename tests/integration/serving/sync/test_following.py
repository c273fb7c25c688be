"""A real server, its sync and a store: what is on record is what answers."""

import time
from datetime import UTC, datetime

import numpy as np
import pytest

from local_stack import append, local_server, serving_settings
from ml.context import Context
from ml.promotions import newest_change
from ml.rollback import Request, roll_back
from ml.storage import open_store
from serving.client import GrpcClient, ModelNotFoundError, RestClient
from serving.trial import wait_for_label
from tiny_classifiers import Published, draw, expected, publish_version

pytestmark = [
    pytest.mark.slow,
    # MLflow's own modules warn when they are imported.
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning"),
]

SECONDS = 30
IMAGE = draw(1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("following")


@pytest.fixture(scope="module")
def settings(folder):
    return serving_settings(folder)


@pytest.fixture(scope="module")
def store(settings):
    return open_store(settings.store)


@pytest.fixture(scope="module")
def versions(store, folder):
    return {version: publish_version(store, "m", version, folder) for version in (1, 2, 3, 4)}


@pytest.fixture(scope="module")
def processes():
    return []


@pytest.fixture(scope="module")
def client(settings, folder, versions, processes):
    """In a module whose tests go on from one another's versions."""
    with local_server(folder) as process, GrpcClient.from_settings(settings) as client:
        processes.append(process)
        yield client


def test_before_the_first_promotion_nothing_is_served(client):
    with pytest.raises(ModelNotFoundError):
        client.predict([IMAGE])


def test_a_promoted_version_answers_by_its_label_over_both_protocols(settings, client, versions):
    append(settings, versions[1], "promote")

    wait_for_label(client, "stable", 1, SECONDS)
    (answer,) = client.predict([IMAGE])
    with RestClient.from_settings(settings) as rest:
        (other,) = rest.predict([IMAGE])
    assert answer.version == 1
    np.testing.assert_allclose(answer.probabilities, expected(1, IMAGE), atol=1e-5)
    np.testing.assert_allclose(other.probabilities, answer.probabilities, atol=1e-6)


def test_a_canary_answers_beside_it(settings, client, versions):
    append(settings, versions[2], "canary")

    wait_for_label(client, "canary", 2, SECONDS)
    assert client.predict([IMAGE], label="canary")[0].version == 2
    assert client.predict([IMAGE])[0].version == 1


def test_a_promoted_canary_takes_over_and_the_version_before_stays_loaded(settings, client, versions):
    append(settings, versions[2], "promote")

    wait_for_label(client, "stable", 2, SECONDS)
    assert client.predict([IMAGE], version=1)[0].version == 1
    with pytest.raises(Exception, match=r"canary"):
        client.predict([IMAGE], label="canary")


def test_a_rollback_takes_effect_within_ten_seconds(settings, store, client):
    started = time.monotonic()
    change = roll_back(Context(settings, store), Request("worse on Mondays", "Alice"), datetime.now(UTC))

    wait_for_label(client, "stable", 1, SECONDS)
    assert time.monotonic() - started < 10
    assert (change.by, change.reason, change.evidence["from"]) == ("Alice", "worse on Mondays", 2)


def test_after_a_rollback_requests_without_a_label_get_the_stable_version_too(settings, client):
    with GrpcClient.from_settings(settings, label=None) as bare:
        deadline = time.monotonic() + SECONDS
        while bare.predict([IMAGE])[0].version != 1:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_a_broken_version_is_never_served_and_takes_nothing_away(settings, store, client, folder):
    for key in ("saved_model.pb", "variables/variables.index"):
        store.put(f"models/m/9/{key}", b"not what the sums say")
    store.put("models/m/9/SHA256SUMS", b"0" * 64 + b"  saved_model.pb\n")
    append(settings, Published(9), "canary")
    number = newest_change(store, "m").number

    deadline = time.monotonic() + SECONDS
    while "version 9 of m is not taken" not in (folder / "server.log").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert client.predict([IMAGE])[0].version == 1
    assert [one.version for one in client.status() if one.state == "AVAILABLE"] == [1]
    append(settings, Published(9), "withdraw")
    assert newest_change(store, "m").number == number + 1


def test_versions_that_nothing_names_are_removed_from_the_servers_disk(settings, client, versions, folder):
    for version in (3, 4):
        append(settings, versions[version], "promote")
        wait_for_label(client, "stable", version, SECONDS)

    deadline = time.monotonic() + SECONDS
    while sorted(path.name for path in (folder / "served/m").iterdir()) != ["3", "4"]:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_server_that_was_killed_starts_with_what_it_served(client, folder, processes):
    processes[-1].kill()
    processes[-1].wait()

    with local_server(folder):
        wait_for_label(client, "stable", 4, SECONDS)
        assert client.predict([IMAGE])[0].version == 4
