"""The request log over a real store: what it keeps, what it drops, and that nobody waits for it."""

import hashlib
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from ml.config import Settings
from ml.errors import StoreError
from ml.request_rows import Answer, describe_request
from ml.request_store import read_requests
from ml.storage import open_store
from ml.tombstones import write_tombstones
from serving import request_log
from serving.client import UNDECODABLE, Prediction
from serving.request_log import RequestLog
from tiny_pictures import draw

ANSWER = Prediction(1, "b", (0.25, 0.75), 3)
PICTURES = [draw(seed, size=64) for seed in range(6)]


@pytest.fixture
def make_log(tmp_path):
    def make(**monitoring):
        settings = Settings.model_validate(
            {
                "model_name": "m",
                "store": {"url": str(tmp_path / "store")},
                "monitoring": {"log_share": 1.0} | monitoring,
            }
        )
        return RequestLog(open_store(settings.store), settings, seed=1)

    return make


def rows(log):
    now = datetime.now(UTC)
    return read_requests(log._store, "m", now - timedelta(hours=1), now + timedelta(hours=1))


def keys(log):
    return [info.key for info in log._store.list("")]


def test_what_was_answered_is_kept_with_measures_and_without_the_picture(make_log):
    with make_log() as log:
        log.observe(PICTURES[:2], [ANSWER, Prediction(-1, "", (0.0, 0.0), 3, UNDECODABLE)], "stable", 12.0)

    table = rows(log)
    assert table["status"].tolist() == ["OK", "UNDECODABLE"]
    assert table["version"].tolist() == [3, 3]
    assert table["label"].tolist() == ["stable", "stable"]
    assert (table["width"] == 64).all()
    assert table["image_id"].isna().all()
    assert len(keys(log)) == 1
    assert (log.written, log.dropped) == (2, 0)


def test_pictures_are_kept_where_that_is_asked_for(make_log):
    with make_log(keep_images=True) as log:
        log.observe(PICTURES[:2], [ANSWER, ANSWER], "stable", 12.0)

    ids = [hashlib.sha256(picture).hexdigest() for picture in PICTURES[:2]]
    assert sorted(rows(log)["image_id"]) == sorted(ids)
    assert [log._store.get(f"requests/m/images/{one[:2]}/{one}") for one in ids] == PICTURES[:2]


def test_nothing_is_kept_unless_it_is_switched_on(tmp_path):
    settings = Settings.model_validate({"store": {"url": str(tmp_path / "store")}})
    with RequestLog.from_settings(settings) as log:
        before = threading.active_count()
        log.observe(PICTURES, [ANSWER] * 6, "stable", 12.0)

    assert not any(thread.name == "request-log" for thread in threading.enumerate())
    assert threading.active_count() == before
    assert keys(log) == []


def test_a_share_is_sampled_by_image(make_log):
    with make_log(log_share=0.3) as log:
        for _ in range(200):
            log.observe(None, [ANSWER] * 5, None, 1.0)

    assert 240 <= len(rows(log)) <= 360


def test_rows_are_written_together_and_after_a_while(make_log):
    with make_log(flush_images=4, flush_seconds=3600) as log:
        log.observe(PICTURES, [ANSWER] * 6, "stable", 1.0)
        wait_until(lambda: log.written == 4)
        time.sleep(0.5)
        assert log.written == 4
    assert log.written == 6
    with make_log(flush_seconds=0.3) as log:
        log.observe(PICTURES[:1], [ANSWER], "stable", 1.0)
        wait_until(lambda: log.written == 1)


def test_what_does_not_fit_is_dropped_at_once_counted_and_told(make_log, monkeypatch, caplog):
    monkeypatch.setattr(request_log, "MAX_QUEUED", 10)
    log = make_log()  # nobody works on its queue yet
    started = time.perf_counter()
    for _ in range(500):
        log.observe(PICTURES[:1], [ANSWER], "stable", 1.0)
    assert time.perf_counter() - started < 0.5

    with log:
        pass

    assert (log.written, log.dropped) == (10, 490)
    assert "490 answers were not logged" in caplog.text


def test_the_queue_is_bounded_in_bytes_too(make_log, monkeypatch):
    monkeypatch.setattr(request_log, "MAX_QUEUED_BYTES", 2 * len(PICTURES[0]) + 100)
    with make_log() as log, log._lock:  # the thread cannot take any meanwhile
        pass
    log.observe(PICTURES, [ANSWER] * 6, "stable", 1.0)

    assert log.dropped == 4


def test_rows_wait_for_a_store_that_is_down(make_log, monkeypatch, caplog):
    log = make_log(flush_seconds=0.1)
    failures = iter([True, True])

    def put(key, data, real=log._store.put):
        if next(failures, False):
            raise StoreError("The store is down.")
        return real(key, data)

    monkeypatch.setattr(log._store, "put", put)
    with log:
        log.observe(PICTURES[:3], [ANSWER] * 3, "stable", 1.0)
        wait_until(lambda: log.written == 3)

    assert "3 rows about requests wait: The store is down." in caplog.text
    assert len(rows(log)) == 3
    assert log.dropped == 0


def test_a_store_that_stays_down_costs_the_rows_and_nothing_else(make_log, monkeypatch, caplog):
    log = make_log()

    def put(key, data):
        raise StoreError("The store is down.")

    monkeypatch.setattr(log._store, "put", put)
    with log:
        log.observe(PICTURES[:3], [ANSWER] * 3, "stable", 1.0)

    assert (log.written, log.dropped) == (0, 3)
    assert "3 answers were not logged" in caplog.text


def test_whatever_fails_the_log_goes_on(make_log, monkeypatch, caplog):
    real, failures = request_log.describe_request, iter([True])

    def describe(*arguments, **options):
        if next(failures, False):
            raise RuntimeError("nobody thought of this")
        return real(*arguments, **options)

    monkeypatch.setattr(request_log, "describe_request", describe)
    with make_log() as log:
        log.observe(PICTURES[:3], [ANSWER] * 3, "stable", 1.0)

    assert (log.written, log.dropped) == (2, 1)
    assert "nobody thought of this" in caplog.text


def test_a_picture_that_was_forgotten_is_not_kept_again(make_log):
    log = make_log(keep_images=True)
    gone = hashlib.sha256(PICTURES[0]).hexdigest()
    write_tombstones(log._store, {"image_ids": [gone], "pixel_id": None})

    with log:
        log.observe(PICTURES[:2], [ANSWER, ANSWER], "stable", 1.0)

    assert gone not in rows(log)["image_id"].tolist()
    assert not any(gone in key for key in keys(log) if key.startswith("requests/"))
    assert len(rows(log)) == 1


@pytest.mark.parametrize("failures", [0, 2], ids=["at once", "when the store is back"])
def test_a_picture_that_is_forgotten_while_it_is_written_goes_again(make_log, monkeypatch, caplog, failures):
    log = make_log(keep_images=True, flush_seconds=0.1)
    row = describe_request(Answer(datetime.now(UTC), 3, None, 1, "b", (0.25, 0.75), "OK", 1.0), PICTURES[0],
                           log._settings.images, keep=True)  # fmt: skip
    left = iter([True] * failures)
    real_put, real_list = log._store.put, log._store.list
    forgotten = threading.Event()

    def put(key, data):
        if key.startswith("requests/m/images/") and not forgotten.is_set():
            forgotten.set()
            # By another file of the same pixels, in the middle of the flush.
            write_tombstones(log._store, {"image_ids": ["0" * 64], "pixel_id": row.pixel_id})
        return real_put(key, data)

    def listed(prefix):
        if forgotten.is_set() and prefix.startswith("forgotten/") and next(left, False):
            raise StoreError("The store is down.")
        return real_list(prefix)

    monkeypatch.setattr(log._store, "put", put)
    monkeypatch.setattr(log._store, "list", listed)
    with log:
        log.observe(PICTURES[:2], [ANSWER, ANSWER], "stable", 1.0)
        wait_until(lambda: log.written == 2 and not log._unchecked)

    other = hashlib.sha256(PICTURES[1]).hexdigest()
    assert rows(log)["image_id"].tolist() == [other]
    assert [key for key in keys(log) if "images" in key] == [f"requests/m/images/{other[:2]}/{other}"]
    assert ("not known yet: The store is down." in caplog.text) is bool(failures)


def test_threads_share_a_log(make_log):
    with make_log() as log:
        threads = [
            threading.Thread(target=lambda: [log.observe(None, [ANSWER], "stable", 1.0) for _ in range(50)])
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert log.written + log.dropped == 400
    assert len(rows(log)) == log.written == 400


def wait_until(condition, seconds=10):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "not in time"
        time.sleep(0.02)
