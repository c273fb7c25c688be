"""Eight clients ask for a minute while versions come, go and break: none fails or gets what was not stable."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import pytest

from local_stack import append, local_server, serving_settings
from ml.context import Context
from ml.promotions import load_changes
from ml.rollback import Request, roll_back
from ml.storage import open_store
from serving.client import GrpcClient, RestClient
from serving.trial import wait_for_label
from tiny_classifiers import Published, draw, expected, publish_version

pytestmark = pytest.mark.slow

#: QUARTET_SWAP_SECONDS=600 makes it a soak test.
SECONDS = float(os.environ.get("QUARTET_SWAP_SECONDS", "60"))
CLIENTS = 8
PROMOTIONS = 5
VERSIONS = range(1, PROMOTIONS + 2)
BROKEN = 40
SETTLE = 60.0
IMAGES = [draw(seed) for seed in range(5)]


@dataclass
class Asker:
    """Asks image after image for the stable version; keeps which versions answered, in their order, and what failed."""

    client: GrpcClient | RestClient
    answered: int = 0
    failures: list[str] = field(default_factory=list)
    versions: list[int] = field(default_factory=list)

    def run(self, stop: threading.Event) -> None:
        answers = {
            (index, version): expected(version, image) for index, image in enumerate(IMAGES) for version in VERSIONS
        }
        while not stop.is_set():
            index = self.answered % len(IMAGES)
            try:
                (answer,) = self.client.predict([IMAGES[index]])
            except Exception as error:  # noqa: BLE001 - whatever it is, it is what this test looks for
                self.failures.append(f"{type(error).__name__}: {error}")
                continue
            self.answered += 1
            by_values = [
                version for version in VERSIONS if np.allclose(answers[index, version], answer.probabilities, atol=1e-4)
            ]
            if len(by_values) != 1 or (answer.version is not None and [answer.version] != by_values):
                self.failures.append(f"version {answer.version} answered {answer.probabilities}")
            elif not self.versions or self.versions[-1] != by_values[0]:
                self.versions.append(by_values[0])


def break_version(store) -> None:
    """Half of the files of a good version, and a digest that is another's."""
    store.put(f"models/m/{BROKEN}/saved_model.pb", store.get("models/m/1/saved_model.pb")[:100])
    sums = store.get("models/m/1/SHA256SUMS")
    store.put(f"models/m/{BROKEN}/SHA256SUMS", sums)


def disturb(settings, store, published, pause: float) -> list[int]:
    """Promotions by way of a canary, rollbacks, a broken version; the stable versions in their order."""
    context, stable = Context(settings, store), [1]

    def became_stable(version: int) -> None:
        wait_for_label(watcher, "stable", version, SETTLE)
        stable.append(version)
        time.sleep(pause)

    with GrpcClient.from_settings(settings) as watcher:
        for step, version in enumerate(VERSIONS[1:]):
            append(settings, published[version], "canary")
            wait_for_label(watcher, "canary", version, SETTLE)
            append(settings, published[version], "promote")
            became_stable(version)
            if step == 1:
                break_version(store)
                append(settings, Published(BROKEN), "canary")
                time.sleep(pause)
                append(settings, Published(BROKEN), "withdraw")
            if step in (2, 3):
                change = roll_back(context, Request("a drill", "test"), datetime.now(UTC))
                became_stable(change.version)
    return stable


def is_part_of(versions: list[int], stable: list[int]) -> bool:
    """Whether versions were answered in the order in which they were stable, some perhaps left out."""
    remaining = iter(stable)
    return all(version in remaining for version in versions)


def test_no_request_fails_and_no_answer_is_of_a_version_that_was_not_stable(tmp_path):
    settings = serving_settings(tmp_path)
    store = open_store(settings.store)
    published = {version: publish_version(store, "m", version, tmp_path) for version in VERSIONS}
    append(settings, published[1], "promote")
    with local_server(tmp_path), GrpcClient.from_settings(settings) as watcher:
        wait_for_label(watcher, "stable", 1, SETTLE)
        stop, started = threading.Event(), time.monotonic()
        askers = [
            Asker((RestClient if number % 2 else GrpcClient).from_settings(settings, retries=0, timeout_seconds=30))
            for number in range(CLIENTS)
        ]
        threads = [threading.Thread(target=asker.run, args=(stop,)) for asker in askers]
        for thread in threads:
            thread.start()
        try:
            stable = disturb(settings, store, published, pause=SECONDS / 20)
            time.sleep(max(0.0, started + SECONDS - time.monotonic()))
        finally:
            stop.set()
            for thread in threads:
                thread.join(60)
        states = {status.version: status.state for status in watcher.status()}

    assert [failure for asker in askers for failure in asker.failures] == []
    assert all(is_part_of(asker.versions, stable) for asker in askers), (stable, [one.versions for one in askers])
    assert all(asker.versions[-1] == stable[-1] for asker in askers)
    assert min(asker.answered for asker in askers) > 50
    assert time.monotonic() - started >= SECONDS
    assert Counter(change.action for change in load_changes(store, "m")) == {
        "promote": PROMOTIONS + 1,
        "canary": PROMOTIONS + 1,
        "rollback": 2,
        "withdraw": 1,
    }
    assert BROKEN not in states
    assert "version 40 of m is not taken" in (tmp_path / "server.log").read_text()
