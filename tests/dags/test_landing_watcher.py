"""The trigger runs in an event loop of this process, on a real folder and a real S3 server."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path
from pkgutil import resolve_name

import pytest

from ml.steps import list_arrivals
from plugins.landing_watcher import LONGEST_PAUSE, LandingTrigger
from tiny_pictures import draw

POLL = 0.05
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Watching:
    """A trigger that runs in a loop of its own thread, until the block ends."""

    def __init__(self, poll_seconds=POLL):
        self.payloads: list[dict] = []
        self.trigger = LandingTrigger(poll_seconds)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),))

    async def _run(self):
        self._task = asyncio.current_task()
        async with aclosing(self.trigger.run()) as events:
            try:
                async for event in events:
                    self.payloads.append(event.payload)
            except asyncio.CancelledError:
                return

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *exception):
        self._loop.call_soon_threadsafe(lambda: self._task.cancel())
        self._thread.join(10)
        assert not self._thread.is_alive(), "the trigger does not end"
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()

    def told(self, count, seconds=10.0):
        """The number of new objects in each event, once there are that many and a few more passes are over."""
        wait_until(lambda: len(self.payloads) >= count, seconds)
        time.sleep(8 * POLL)
        return [payload["objects"] for payload in self.payloads]


def wait_until(happened, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.01)


def put(context, name, seed=0):
    context.store.put(f"landing/a/{name}", draw(seed))


def test_a_new_image_fires_once_and_an_ingest_by_hand_ends_it(set_up):
    context = set_up()
    put(context, "1.png")
    with Watching() as watching:
        first = watching.told(1)
        list_arrivals.run(context, "by-hand", NOW)
        put(context, "2.png")
        put(context, "3.png")
        both = watching.told(2)

    assert (first, both) == ([1], [1, 2])
    assert watching.payloads[1].keys() == {"objects", "bytes", "labels", "listed"}
    with Watching() as again:
        assert again.told(0) == []


def test_a_file_that_is_still_copied_is_waited_for(set_up, monkeypatch):
    context = set_up()
    context.store.put("landing/a/1.png", b"")
    listed, passes = type(context.store).list, []

    def growing(self, prefix):
        passes.append(prefix)
        if len(passes) <= 6:
            with Path(self.uri("landing/a/1.png")).open("ab") as file:
                file.write(b"more")
        return listed(self, prefix)

    monkeypatch.setattr(type(context.store), "list", growing)
    with Watching() as watching:
        assert watching.told(1) == [1]

    assert watching.payloads[0]["bytes"] == 6 * len(b"more")


def test_wrong_settings_are_said_once_and_the_watch_goes_on_when_they_are_mended(set_up, tmp_path, caplog):
    caplog.set_level(logging.INFO, "plugins.landing_watcher")
    context = set_up()
    put(context, "1.png")
    good = (tmp_path / "quartet.yaml").read_text()
    (tmp_path / "quartet.yaml").write_text("colour: red\n")
    with Watching() as watching:
        wait_until(lambda: "colour" in caplog.text)
        time.sleep(4 * POLL)
        (tmp_path / "quartet.yaml").write_text(good)
        assert watching.told(1) == [1]

    assert [record.levelname for record in caplog.records if "colour" in record.message] == ["WARNING"]
    assert "the landing zone is watched again" in caplog.text


def test_a_store_that_does_not_answer_is_said_once_and_asked_less_often(
    set_up, tmp_path, closed_port, s3_credentials, caplog
):
    store = {"url": "s3://bucket", "endpoint_url": f"http://127.0.0.1:{closed_port}", "max_attempts": 1}
    set_up(store=store)
    with Watching() as watching:
        wait_until(lambda: watching.trigger.pause() >= 4 * POLL)

    assert sum("does not answer" in record.message for record in caplog.records) == 1
    assert watching.payloads == []


def test_an_error_that_nobody_foresaw_is_logged_with_its_trace_and_does_not_end_the_watch(set_up, monkeypatch, caplog):
    context = set_up()
    put(context, "1.png")
    listed = type(context.store).list

    def broken(self, prefix):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(type(context.store), "list", broken)
    with Watching() as watching:
        wait_until(lambda: "Input/output error" in caplog.text)
        monkeypatch.setattr(type(context.store), "list", listed)
        assert watching.told(1) == [1]

    assert sum(record.exc_info is not None for record in caplog.records) == 1


def test_pauses_grow_to_a_limit_and_no_further():
    trigger = LandingTrigger(60.0)
    trigger.failures = 10**6
    rare = LandingTrigger(2 * LONGEST_PAUSE)

    assert trigger.pause() == LONGEST_PAUSE
    assert rare.pause() == 2 * LONGEST_PAUSE


@pytest.mark.slow
def test_objects_on_more_than_one_page_of_a_bucket_are_all_watched(set_up, moto_server, s3_credentials):
    from moto.s3.models import s3_backends

    bucket = moto_server.bucket("watched")
    backend = s3_backends["123456789012"]["aws"]
    for number in range(1200):
        backend.put_object(bucket.name, f"landing/a/{number:04d}.png", b"image")
    context = set_up(store={"url": f"s3://{bucket.name}", "endpoint_url": moto_server.endpoint})
    with Watching() as watching:
        first = watching.told(1, seconds=60)
        list_arrivals.run(context, "by-hand", NOW)
        backend.put_object(bucket.name, "landing/a/0007.png", b"other bytes")
        backend.delete_object(bucket.name, "landing/a/0008.png")
        second = watching.told(2, seconds=60)

    assert (first, second) == ([1200], [1200, 1])
    assert (watching.payloads[1]["listed"], watching.payloads[1]["bytes"]) == (1199, 11)


def test_listing_is_left_to_a_thread(set_up, monkeypatch):
    context = set_up()
    threads = set()
    listed = type(context.store).list
    monkeypatch.setattr(
        type(context.store),
        "list",
        lambda self, prefix: threads.add(threading.current_thread()) or listed(self, prefix),
    )
    with Watching() as watching:
        wait_until(lambda: threads)

        assert watching._thread not in threads


@pytest.mark.filterwarnings("ignore")  # of Airflow's own modules
def test_a_triggerer_makes_the_same_trigger_of_what_is_stored():
    from airflow.models.trigger import Trigger

    row = Trigger.from_object(LandingTrigger(30.0))
    copy = resolve_name(row.classpath)(**row.kwargs)

    assert isinstance(copy, LandingTrigger)
    assert copy.poll_seconds == 30.0
