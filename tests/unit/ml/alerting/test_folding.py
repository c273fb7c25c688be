"""Windows in a real folder, and behind an S3 server where workers race."""

from __future__ import annotations

import os
import time
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest

from ml import layout
from ml.alerting.cause import cause_digest
from ml.alerting.folding import KEPT, SENDING, Untold, claim_window, close_window, prune_windows
from ml.errors import AlreadyExistsError

HOUR = timedelta(hours=1)
CAUSE = ("failure", "retrain", "train")


@pytest.fixture
def claim(store, make_alert):
    """Ask for the right to send an alert of one cause, so long after the first."""

    def ask(after=timedelta(0), cause=CAUSE, where=store):
        alert = make_alert(cause=cause)
        return claim_window(where, make_alert(cause=cause, at=alert.at + after), HOUR)

    return ask


def test_the_first_is_to_be_sent_and_those_within_the_window_are_not(store, claim, make_alert):
    first = claim()
    close_window(store, first, told=True)

    assert first.untold is None
    assert [claim(after=timedelta(minutes=minute)) for minute in (0, 1, 59)] == [None, None, None]


def test_the_next_one_after_the_window_tells_how_many_there_were_and_since_when(store, claim, make_alert):
    close_window(store, claim(), told=True)
    for minute in (5, 10, 15):
        claim(after=timedelta(minutes=minute))
    late = claim(after=HOUR)

    assert late.untold == Untold(3, make_alert().at + timedelta(minutes=5))
    close_window(store, late, told=True)
    assert claim(after=2 * HOUR).untold is None


def test_those_that_came_while_one_was_sent_are_told_by_the_one_after(store, claim):
    close_window(store, claim(), told=True)
    claim(after=timedelta(minutes=5))
    second = claim(after=HOUR)
    claim(after=HOUR + timedelta(seconds=1))
    close_window(store, second, told=True)

    assert (second.untold.alerts, claim(after=2 * HOUR).untold.alerts) == (1, 1)


@pytest.mark.parametrize("other", [("failure", "retrain", "split"), ("failure", "retrain", "train", "")])
def test_another_cause_is_never_folded(store, claim, other):
    close_window(store, claim(), told=True)

    assert claim(cause=other) is not None


def test_an_alert_that_reached_nobody_keeps_none_silent_and_is_counted(store, claim, make_alert):
    close_window(store, claim(), told=False)

    assert claim(after=timedelta(seconds=1)).untold == Untold(1, make_alert().at)


def test_a_worker_that_was_killed_while_it_sent_is_waited_for_no_longer_than_sending_takes(claim, make_alert):
    claim()

    assert claim(after=SENDING / 2) is None
    assert claim(after=SENDING).untold == Untold(2, make_alert().at + SENDING / 2)


def test_one_that_was_overtaken_says_nothing_any_more(store, claim):
    slow = claim()
    quick = claim(after=SENDING)
    close_window(store, quick, told=True)
    close_window(store, slow, told=False)

    assert claim(after=SENDING * 2) is None


def test_a_clock_that_is_years_ahead_keeps_nobody_silent(store, claim):
    close_window(store, claim(after=timedelta(days=4000)), told=True)

    assert claim() is not None


@pytest.mark.parametrize("data", [b"", b"no json", b"[]", b'{"cause": []}', b'{"cause": [], "colour": "red"}'])
def test_what_is_no_window_is_written_anew(store, claim, make_alert, data):
    store.put(layout.alert_key(cause_digest(make_alert(cause=CAUSE))), data)
    first = claim()
    close_window(store, first, told=True)

    assert first.untold is None
    assert claim() is None


class LosesAnswers:
    """A store whose first conditional write arrives, though the caller hears that somebody else was quicker."""

    def __init__(self, store):
        self._store, self._lost = store, False

    def __getattr__(self, name):
        return getattr(self._store, name)

    def put_if_absent(self, key, data):
        etag = self._store.put_if_absent(key, data)
        if not self._lost:
            self._lost = True
            raise AlreadyExistsError("The answer was lost, and the request sent again.")
        return etag


def test_the_right_to_send_is_known_also_where_the_answer_was_lost(store, claim):
    assert claim(where=LosesAnswers(store)) is not None
    assert claim() is None


@pytest.mark.parametrize("rounds", [1, 2], ids=["first window", "next window"])
@pytest.mark.parametrize("kind", ["folder", "s3"])
def test_of_many_workers_at_one_moment_one_sends_and_the_others_are_counted(
    kind, rounds, store, s3_credentials, moto_server, claim
):
    if kind == "s3":
        store = moto_server.store(f"s3://{moto_server.bucket('alerts').name}/{uuid.uuid4().hex}")
    with ThreadPoolExecutor(8) as pool:
        for number in range(rounds):
            asked = [pool.submit(claim, after=number * HOUR, where=store) for _ in range(8)]
            won = [one.result() for one in asked if one.result() is not None]
            assert len(won) == 1
            close_window(store, won[0], told=True)

    assert claim(after=rounds * HOUR, where=store).untold.alerts == 7


def test_causes_that_were_not_met_for_long_are_forgotten(tmp_path, store, claim):
    for cause in (CAUSE, ("another",)):
        close_window(store, claim(cause=cause), told=True)
    old, new = sorted((tmp_path / "store" / "alerts").iterdir())
    at = datetime.now().astimezone()
    long_ago = time.time() - (KEPT + HOUR).total_seconds()
    os.utime(old, (long_ago, long_ago))

    prune_windows(store, at)

    assert [info.key for info in store.list("alerts/")] == [f"alerts/{new.name}"]


def test_what_is_remembered_says_what_it_is_about(store, claim):
    claim()
    ((key, _, _, _),) = store.list("alerts/")

    assert Counter(store.get(key).decode().split('"'))["critical"] == 1
    assert '"train"' in store.get(key).decode()
