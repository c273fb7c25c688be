from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ml.errors import DataError
from ml.sightings import NO_LABELS, Seen, Sightings, fingerprint, read_seen
from ml.storage import ObjectInfo

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def listed(key, etag="1"):
    return ObjectInfo(key, 10, etag, NOW)


def sightings(*objects, labels_etag=None):
    seen = Sightings(labels_etag)
    for info in objects:
        seen.add(info)
    return seen


def test_what_was_listed_is_seen_in_just_that_version(store):
    sightings(*(listed(f"landing/a/{number}.png") for number in range(100))).store(store)
    seen = read_seen(store)

    assert all(seen.has(fingerprint(f"landing/a/{number}.png", "1")) for number in range(100))
    assert not any(seen.has(fingerprint(f"landing/a/{number}.png", "2")) for number in range(100))
    assert not seen.has(fingerprint("landing/a/100.png", "1"))


def test_what_is_left_for_another_ingest_is_not_seen():
    both = sightings(listed("landing/a/1.png"), listed("landing/a/2.png"))
    both.leave("landing/a/2.png", "1")
    seen = Seen(both.record())

    assert seen.has(fingerprint("landing/a/1.png", "1"))
    assert not seen.has(fingerprint("landing/a/2.png", "1"))


def test_of_labels_csv_the_version_counts_that_was_read_not_the_one_that_was_listed():
    seen = Seen(sightings(listed("landing/labels.csv", "newer"), labels_etag="older").record())

    assert seen.has_labels(fingerprint("landing/labels.csv", "older"))
    assert not seen.has_labels(fingerprint("landing/labels.csv", "newer"))
    assert not seen.has_labels(NO_LABELS)


def test_an_ingest_without_labels_csv_knows_that_there_was_none():
    assert Seen(sightings().record()).has_labels(NO_LABELS)


def test_before_the_first_ingest_nothing_is_seen(store):
    seen = read_seen(store)

    assert (seen.anything, seen.etag) == (False, "")
    assert not seen.has(fingerprint("landing/a/1.png", "1"))
    assert not seen.has_labels(NO_LABELS)


def test_the_record_takes_eight_bytes_an_object_and_is_not_written_again_for_the_same(store):
    same = sightings(*(listed(f"landing/a/{number}.png") for number in range(1000)))
    same.store(store)
    before = store.head("arrivals/seen")
    same.store(store)

    assert before.size == 8 * 1001
    assert store.head("arrivals/seen") == before


def test_keys_that_are_no_text_are_told_apart():
    names = ["landing/a/\udcff.png", "landing/a/\udcfe.png", "landing/ä/\u0000.png", "landing/ä/.png"]

    assert len({fingerprint(name, "1") for name in names}) == len(names)


def test_key_and_etag_do_not_run_into_one_another():
    assert fingerprint("landing/a", "b1") != fingerprint("landing/ab", "1")


def test_a_damaged_record_is_refused_with_what_mends_it(store):
    store.put("arrivals/seen", b"123456789")

    with pytest.raises(DataError, match=r"arrivals/seen has 9 bytes.*Remove it"):
        read_seen(store)
