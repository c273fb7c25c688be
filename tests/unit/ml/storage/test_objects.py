"""What every store does with one object."""

import threading
from datetime import UTC, datetime, timedelta

import pytest

from ml.errors import NotFoundError


def test_an_object_reads_as_it_was_written(store):
    store.put("a/b/c.bin", bytes(range(256)))

    assert store.get("a/b/c.bin") == bytes(range(256))


def test_an_empty_object_is_an_object(store):
    store.put("empty", b"")

    assert store.get("empty") == b""
    assert store.head("empty").size == 0


def test_a_second_write_replaces_the_first(store):
    store.put("key", b"a long first version")
    store.put("key", b"second")

    assert store.get("key") == b"second"


def test_another_content_gives_another_etag(store):
    etags = [store.put("key", data) for data in (b"one", b"two", b"three")]

    assert len(set(etags)) == 3


def test_reading_writing_describing_and_listing_give_the_same_etag(store):
    written = store.put("key", b"data")

    assert store.get_with_etag("key") == (b"data", written)
    assert store.head("key").etag == written
    assert [info.etag for info in store.list("key")] == [written]


def test_an_object_is_described_by_key_size_and_time(store):
    store.put("a/key", b"12345")
    info = store.head("a/key")

    assert (info.key, info.size) == ("a/key", 5)
    assert info.last_modified.utcoffset() == timedelta(0)
    assert abs(datetime.now(UTC) - info.last_modified) < timedelta(minutes=1)


def test_what_is_not_there_has_no_description(store):
    store.put("a/b", b"")

    assert store.head("missing") is None
    assert store.head("a") is None
    assert store.head("a/b/c") is None


@pytest.mark.parametrize("key", ["missing.json", "there", "there/a/b"])
def test_reading_what_is_not_there_names_the_key(store, key):
    store.put("there/a", b"")

    with pytest.raises(NotFoundError, match=f"no object .*{key}"):
        store.get(key)
    with pytest.raises(NotFoundError, match=f"no object .*{key}"):
        store.get_with_etag(key)


def test_a_removed_object_is_gone(store):
    store.put("a/key", b"data")
    store.put("a/other", b"kept")
    store.delete("a/key")

    assert store.head("a/key") is None
    assert [info.key for info in store.list("")] == ["a/other"]


@pytest.mark.parametrize("key", ["missing", "there", "there/a/b"])
def test_removing_what_is_not_there_is_no_error(store, key):
    store.put("there/a", b"kept")
    store.delete(key)
    store.delete(key)

    assert store.get("there/a") == b"kept"


def test_keys_may_hold_any_other_character(store):
    keys = [
        "grün/日本/😀.png",
        "a b/c d",
        "a c",
        "A c",
        "a+c",
        "a%20c",
        "a&b=c?d#e",
        "quote'\"<>",
        "~$!*()@:;,",
        "b\\c",
        "-",
    ]
    for key in keys:
        store.put(key, key.encode())

    assert [store.get(key).decode() for key in keys] == keys
    assert [info.key for info in store.list("")] == sorted(keys, key=str.encode)


def test_an_address_ends_in_the_key(store):
    assert store.uri("a/b.json") == f"{store.url}/a/b.json"


def test_a_reader_never_sees_half_an_object(store):
    versions = [bytes([number]) * 200_000 for number in range(4)]
    store.put("key", versions[0])
    writing = threading.Thread(target=lambda: [store.put("key", data) for data in versions * 5])
    writing.start()
    seen = {store.get("key") for _ in range(20)}
    writing.join()

    assert seen <= set(versions)
