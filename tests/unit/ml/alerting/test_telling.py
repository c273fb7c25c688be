"""Alerts through real channels, folded by a real store, or sent all the same where there is none."""

from __future__ import annotations

import logging
import socket
import time
from datetime import timedelta

import pytest

from ml.alerting import Fact, tell

CAUSE = ("failure", "retrain", "train")


@pytest.fixture
def configured(make_settings, http_sink):
    """With a webhook at a server that works; takes what differs."""
    return lambda alerts=None, **sections: make_settings(
        {"alerts": {"webhook": {"url": f"{http_sink.url}/hook"}} | (alerts or {})} | sections
    )


@pytest.fixture
def after(make_alert):
    """An alert of one cause, so many minutes after the first."""
    return lambda minutes, **changes: make_alert(
        cause=CAUSE, at=make_alert().at + timedelta(minutes=minutes), **changes
    )


def test_a_storm_is_one_alert_and_the_next_says_how_many_there_were(configured, after, http_sink):
    for minute in (0, 1, 2, 59):
        tell(after(minute), configured())
    assert len(http_sink.bodies) == 1

    tell(after(61), configured())

    _, late = http_sink.bodies
    told = "3 alerts of the same cause since 2026-01-02 03:05:05 UTC"
    assert late["facts"][0] == {"name": "not sent", "value": told}


@pytest.mark.parametrize(("minutes", "sent"), [(0, 3), (5, 2), (60, 1)])
def test_the_window_is_as_long_as_the_settings_say(configured, after, http_sink, minutes, sent):
    for minute in (0, 1, 6):
        tell(after(minute), configured({"fold_minutes": minutes}))

    assert len(http_sink.bodies) == sent


def test_an_alert_without_a_cause_is_always_sent_and_nothing_is_remembered(configured, make_alert, http_sink, store):
    for _ in range(3):
        tell(make_alert(), configured())

    assert len(http_sink.bodies) == 3
    assert [*store.list("alerts/")] == []


def test_without_a_channel_nothing_is_remembered(configured, after, store):
    assert tell(after(0), configured({"webhook": None})) == []
    assert [*store.list("alerts/")] == []


def test_an_alert_that_no_channel_took_does_not_silence_the_next(configured, after, http_sink, closed_port):
    tell(after(0), configured({"webhook": {"url": f"http://127.0.0.1:{closed_port}/"}}))

    (delivery,) = tell(after(1), configured())

    assert delivery.error is None
    assert http_sink.bodies[0]["facts"][0]["value"].startswith("1 alert of the same cause since")


def test_one_channel_that_took_it_is_enough(configured, after, http_sink, closed_port):
    down = {"slack": {"webhook_url": f"http://127.0.0.1:{closed_port}/"}}

    tell(after(0), configured(down))
    tell(after(1), configured(down))

    assert len(http_sink.bodies) == 1


@pytest.mark.parametrize("kind", ["refuses", "hangs", "folder that is a file", "of no known form"])
def test_where_the_store_cannot_be_asked_every_alert_is_sent_and_the_log_says_so(
    kind, configured, after, http_sink, closed_port, tmp_path, s3_credentials, caplog
):
    silent = socket.create_server(("127.0.0.1", 0))
    (tmp_path / "file").write_text("no folder")
    s3 = {"url": "s3://quartet", "read_timeout_seconds": 0.2}
    store = {
        "refuses": s3 | {"endpoint_url": f"http://127.0.0.1:{closed_port}"},
        "hangs": s3 | {"endpoint_url": f"http://127.0.0.1:{silent.getsockname()[1]}"},
        "folder that is a file": {"url": str(tmp_path / "file" / "store")},
        "of no known form": {"url": "gopher://quartet"},
    }[kind]
    started = time.monotonic()

    with silent:
        for minute in (0, 1):
            tell(after(minute), configured(store=store))

    assert len(http_sink.bodies) == 2
    assert time.monotonic() - started < 20
    assert "is sent unfolded, the store cannot be asked" in caplog.text


def test_a_folded_alert_leaves_a_line_in_the_log(configured, after, caplog):
    with caplog.at_level(logging.INFO):
        tell(after(0), configured())
        tell(after(1), configured())

    assert "alert 'ingest_images: validate failed' folded: the same cause was told less than 1:00:00 ago" in caplog.text


def test_how_many_there_were_is_shown_also_beside_the_most_facts(configured, after, http_sink):
    many = tuple(Fact(str(number), "1") for number in range(50))
    for minute in (0, 1, 61):
        tell(after(minute, facts=many), configured())

    assert http_sink.bodies[-1]["facts"][0]["name"] == "not sent"
