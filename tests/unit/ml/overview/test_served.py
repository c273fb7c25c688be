import socket
import time

import pytest

from ml.overview.served import ask_server, compare_with_record
from ml.overview.views import ServedView, VersionState
from ml.serving_state import ServingState

UNLABELLED = "By the record version 2 is stable, but it does not answer for stable."
LOADING = VersionState(2, "LOADING")
FAILED = VersionState(1, "END", "no such file")


def served(*versions, **labels):
    states = tuple(one if isinstance(one, VersionState) else VersionState(one, "AVAILABLE") for one in versions)
    return ServedView("here:8500", True, states, tuple(labels.items()))


def test_server_that_is_not_there_is_said_not_to_answer(settings):
    found = compare_with_record(ask_server(settings), ServingState(1))

    assert (found.answers, found.agrees, found.available) == (False, None, ())
    assert found.verdict.startswith("It does not answer: ")
    assert f"127.0.0.1:{settings.serving.grpc_port}" in found.verdict


def test_server_that_hangs_is_not_waited_for(make_settings):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = make_settings({"serving": {"grpc_port": silent.getsockname()[1], "timeout_seconds": 600}})
        started = time.monotonic()

        found = ask_server(settings)

    assert not found.answers
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("found", "wanted", "verdict"),
    [
        (served(2, 1, stable=2), ServingState(2, None, 1), "It serves what the record says."),
        (served(3, 2, stable=2, canary=3), ServingState(2, 3), "It serves what the record says."),
        (served(), ServingState(), "It serves nothing, and nothing was promoted yet."),
    ],
    ids=["stable", "on trial", "nothing"],
)
def test_server_that_serves_what_is_wanted_agrees(found, wanted, verdict):
    compared = compare_with_record(found, wanted)

    assert (compared.agrees, compared.verdict) == (True, verdict)


@pytest.mark.parametrize(
    ("found", "wanted", "verdict"),
    [
        (
            served(2, 1, stable=1),
            ServingState(2, None, 1),
            "By the record version 2 is stable, but it answers for stable with version 1.",
        ),
        (
            served(LOADING),
            ServingState(2),
            f"{UNLABELLED} Version 2 should be loaded, but is LOADING there.",
        ),
        (
            served(2, FAILED, stable=2),
            ServingState(2, None, 1),
            "Version 1 should be loaded, but is END (no such file) there.",
        ),
        (
            served(3, 2, stable=2, canary=3),
            ServingState(2),
            "By the record nothing is canary, but it answers for canary with version 3.",
        ),
        (served(2, stable=2), ServingState(2, None, 1), "Version 1 should be loaded, but is not there."),
    ],
    ids=["another", "loading", "failed", "a trial that is over", "previous"],
)
def test_server_that_serves_anything_else_is_said_to(found, wanted, verdict):
    compared = compare_with_record(found, wanted)

    assert (compared.agrees, compared.verdict) == (False, verdict)


def test_record_that_cannot_be_read_is_compared_with_nothing():
    compared = compare_with_record(served(2, stable=2), None)

    assert compared.agrees is None
    assert "the record cannot be read" in compared.verdict
