import hashlib
from datetime import UTC, datetime, timedelta

import pytest

from ml.config import ImageSettings
from ml.request_rows import Answer, describe_request
from ml.request_store import (
    erase_requests,
    find_requests,
    kept_pixels,
    newest_images,
    prune_requests,
    read_requests,
    write_requests,
)
from tiny_pictures import draw

MIDNIGHT = datetime(2026, 3, 2, tzinfo=UTC)


def row(at, seed=None, version=1):
    answer = Answer(at, version, "stable", 0, "a", (1.0, 0.0), "OK", 5.0)
    return describe_request(answer, None if seed is None else draw(seed), ImageSettings(), keep=seed is not None)


def keep(store, *seeds, at=MIDNIGHT):
    images = {hashlib.sha256(draw(seed)).hexdigest(): draw(seed) for seed in seeds}
    return write_requests(store, "m", [row(at, seed) for seed in seeds], images)


def test_rows_lie_under_the_day_and_hour_of_the_first(store):
    key = write_requests(store, "m", [row(MIDNIGHT + timedelta(minutes=1)), row(MIDNIGHT - timedelta(minutes=1))])

    assert key.startswith("requests/m/2026-03-01/23-")
    assert key.endswith(".parquet")


def test_a_window_reads_its_rows_and_no_others_whatever_part_they_are_in(store):
    times = [MIDNIGHT + timedelta(minutes=30 * step) for step in range(-8, 8)]
    for first, second in zip(times[::2], times[1::2], strict=True):
        write_requests(store, "m", [row(first), row(second)])
    write_requests(store, "other", [row(MIDNIGHT)])

    found = read_requests(store, "m", times[3], times[13])

    assert [at.to_pydatetime() for at in found["at"]] == times[3:13]


def test_no_rows_are_an_empty_table(store):
    assert read_requests(store, "m", MIDNIGHT, MIDNIGHT + timedelta(days=9)).empty


def test_kept_images_come_newest_first(store):
    for seed in (1, 2, 3):
        keep(store, seed)

    assert newest_images(store, "m", 2) == (draw(3), draw(2))
    assert newest_images(store, "m", 0) == ()
    assert newest_images(store, "other", 2) == ()


def test_kept_images_are_known_by_their_bytes_and_pixels(store):
    keep(store, 1, 2)
    same = row(MIDNIGHT, 1)

    assert kept_pixels(store)[same.image_id] == same.pixel_id
    assert len(kept_pixels(store)) == 2


def test_an_image_is_found_in_every_part_and_its_rows_go(store):
    first, second = keep(store, 1, 2), keep(store, 1)
    image_id = row(MIDNIGHT, 1).image_id

    found = {key for _, key in find_requests(store, {image_id})}
    assert found == {first, second, f"requests/m/images/{image_id[:2]}/{image_id}"}
    for key in (first, second):
        erase_requests(store, key, {image_id})
        erase_requests(store, key, {image_id})

    left = read_requests(store, "m", MIDNIGHT, MIDNIGHT + timedelta(hours=1))
    assert left["image_id"].tolist() == [row(MIDNIGHT, 2).image_id]
    assert store.head(second) is None


@pytest.mark.parametrize(("days", "removed"), [(3, 0), (-40, 1)], ids=["young", "old"])
def test_rows_go_when_their_time_is_up(store, days, removed):
    now = datetime.now(UTC)
    write_requests(store, "m", [row(now + timedelta(days=days))])

    assert prune_requests(store, "m", now - timedelta(days=30)) == removed


def test_as_long_as_a_row_names_an_image_it_is_found(store):
    """Rows go by the day and images one by one: none may go before the last row about it."""
    now = datetime.now(UTC)
    part, image_id = keep(store, 1, at=now), row(now, 1).image_id

    for hours in range(0, 60, 2):
        prune_requests(store, "m", now + timedelta(hours=hours))
        found = {key for _, key in find_requests(store, {image_id})}
        assert (part in found) == (store.head(part) is not None)
        assert (image_id in kept_pixels(store)) or not found

    assert not list(store.list("requests/"))


def test_kept_images_go_with_their_time_and_those_of_other_models_stay(store):
    keep(store, 1)
    store.put("requests/mm/2020-01-01/00-x.parquet", b"")

    assert prune_requests(store, "m", datetime.now(UTC) + timedelta(days=30)) == 2
    assert [info.key for info in store.list("requests/")] == ["requests/mm/2020-01-01/00-x.parquet"]
