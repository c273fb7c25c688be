"""Requests logged by a real server and by real clients, and what the monitor and a canary make of them."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import numpy as np
import pytest

from local_stack import append, local_server, serving_settings
from ml.config import CanarySettings, WatchSettings, load_settings
from ml.context import Context
from ml.golden import Golden
from ml.request_store import newest_images, read_requests
from ml.steps import canary, check_serving, measure_traffic, watch
from ml.storage import open_store
from serving.client import GrpcClient, RestClient
from serving.request_log import RequestLog
from serving.trial import wait_for_label
from tiny_classifiers import CLASSES, draw, expected, publish_version

pytestmark = [
    pytest.mark.slow,
    # MLflow's own modules warn when they are imported.
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning"),
]

PICTURES = [draw(seed, size=64) for seed in range(12)]


def rows(store, name="m"):
    now = datetime.now(UTC)
    return read_requests(store, name, now - timedelta(hours=1), now + timedelta(hours=1))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("logging")


@pytest.fixture(scope="module")
def settings(folder):
    """Of a server that logs everything, pictures included, within a second."""
    serving_settings(folder)
    path = folder / "quartet.yaml"
    monitoring = {"log_share": 1.0, "keep_images": True, "flush_seconds": 0.5, "min_requests": 20}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"monitoring": monitoring}))
    return load_settings(path)


@pytest.fixture(scope="module")
def store(settings):
    return open_store(settings.store)


@pytest.fixture(scope="module")
def served(folder, settings, store):
    """The local server with versions 1 (stable) and 2 (canary)."""
    versions = [publish_version(store, "m", number, folder) for number in (1, 2)]
    append(settings, versions[0], "promote")
    append(settings, versions[1], "canary")
    with local_server(folder) as process, GrpcClient.from_settings(settings) as client:
        wait_for_label(client, "stable", 1, 60)
        wait_for_label(client, "canary", 2, 60)
        yield process


def test_the_local_server_logs_what_it_answers_over_both_protocols(served, settings, store):
    with GrpcClient.from_settings(settings) as client, RestClient.from_settings(settings) as rest:
        client.predict(PICTURES[:3])
        client.predict(PICTURES[3], label="canary")
        rest.predict(PICTURES[4:6])
    until = time.monotonic() + 20
    while len(rows(store)) < 6:
        assert time.monotonic() < until
        time.sleep(0.1)

    table = rows(store)
    assert sorted(table["version"]) == [1, 1, 1, 1, 1, 2]
    assert (table["width"] == 64).all()
    assert set(newest_images(store, "m", 50)) == set(PICTURES[:6])
    first = table[table["image_id"] == table["image_id"][0]].iloc[0]
    assert first["milliseconds"] > 0
    kept = store.get(f"requests/m/images/{first['image_id'][:2]}/{first['image_id']}")
    np.testing.assert_allclose(first["probabilities"], expected(int(first["version"]), kept), atol=1e-5)


def test_the_monitor_asks_the_server_itself(served, settings, store):
    context = Context(settings, store)
    with GrpcClient.from_settings(settings) as client:
        for _ in range(25):
            client.predict(PICTURES[0])

    version = check_serving.run(context, "look", datetime.now(UTC))
    traffic = measure_traffic.run(context, "look", datetime.now(UTC))

    assert (version["version"], version["at_server"]) == (1, 1)
    assert {finding["status"] for finding in traffic["findings"]} == {"within"}
    assert traffic["requests"]["OK"] >= 25
    assert 0 < traffic["p95_ms"] < 1000


def test_recorded_requests_are_part_of_a_trial_but_not_of_the_agreement_with_the_evaluation(served, settings, store):
    golden = Golden(tuple(PICTURES[6:8]), np.stack([expected(2, picture) for picture in PICTURES[6:8]]), CLASSES)
    recorded = newest_images(store, "m", 4)

    _, figures = canary._compare(settings, CanarySettings(recorded_requests=4), golden, recorded, 2, 1)

    assert (figures["images"], figures["recorded_requests"]) == (2, 4)
    assert figures["offline_agreement"] == 1.0
    same = [expected(1, one).argmax() == expected(2, one).argmax() for one in (*golden.images, *recorded)]
    assert figures["agreement"] == pytest.approx(np.mean(same))


def test_the_images_of_a_trial_and_of_a_watch_are_not_logged(served, settings, store):
    golden = Golden(tuple(PICTURES[6:8]), np.stack([expected(2, picture) for picture in PICTURES[6:8]]), CLASSES)
    limits = WatchSettings(seconds=1.0, interval_seconds=0.2)

    canary._compare(settings, CanarySettings(), golden, (), 2, 1)
    seen = watch._watch(Context(settings, store), limits, golden, 1, None)
    with GrpcClient.from_settings(settings) as client:
        client.predict(PICTURES[11])
    # What is logged is written in its order: when the last one is there, all before it are.
    last = sha256(PICTURES[11]).hexdigest()
    until = time.monotonic() + 20
    while last not in set(rows(store)["image_id"]):
        assert time.monotonic() < until
        time.sleep(0.1)

    assert seen.probes >= 4
    assert not {sha256(picture).hexdigest() for picture in golden.images} & set(rows(store)["image_id"])


def test_what_waits_is_written_when_the_server_stops(served, settings, store):
    before = len(rows(store))
    with GrpcClient.from_settings(settings) as client:
        client.predict(PICTURES[8:])
    served.terminate()
    assert served.wait(20) == 0

    assert len(rows(store)) >= before + 4


@pytest.mark.parametrize("kind", ["grpc", "rest", "async grpc", "async rest"])
def test_each_client_logs_its_answers_before_any_server(contract_server, settings, tmp_path, kind):
    from awaited import Awaited
    from serving.client import AsyncGrpcClient, AsyncRestClient

    clients = {"grpc": GrpcClient, "rest": RestClient, "async grpc": AsyncGrpcClient, "async rest": AsyncRestClient}
    plain = settings.monitoring.model_copy(update={"keep_images": False})
    own = settings.model_copy(
        update={
            "model_name": "colours",
            "monitoring": plain,
            "store": settings.store.model_copy(update={"url": str(tmp_path / "store")}),
        }
    )
    port = contract_server.grpc_port if "grpc" in kind else contract_server.rest_port
    with RequestLog.from_settings(own) as log:
        made = (contract_server.host, port, "colours", 20.0)
        opened = Awaited(clients[kind], *made, log=log) if "async" in kind else clients[kind](*made, log=log)
        with opened as client:
            client.predict([PICTURES[0], b"no picture"])
            client.explain(PICTURES[1])
            client.predict(np.zeros((8, 8, 3), np.float32))
            client.predict([])

    table = rows(open_store(own.store), "colours")
    assert table["status"].tolist() == ["OK", "UNDECODABLE", "OK", "OK"]
    assert table["width"].isna().tolist() == [False, True, False, True]
    assert table["version"].dropna().tolist() == ([4, 4, 4, 4] if "grpc" in kind else [])
    assert table["image_id"].isna().all()
    assert (table["milliseconds"] > 0).all()
