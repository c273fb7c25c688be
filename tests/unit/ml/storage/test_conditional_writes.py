"""Creating and replacing under a condition: what publishing rests on."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from ml.errors import AlreadyExistsError, ConflictError


def test_creating_writes_where_nothing_is(store):
    etag = store.put_if_absent("a/key", b"data")

    assert store.get_with_etag("a/key") == (b"data", etag)


def test_creating_leaves_what_is_there(store):
    store.put("a/key", b"first")

    with pytest.raises(AlreadyExistsError, match="a/key"):
        store.put_if_absent("a/key", b"second")
    assert store.get("a/key") == b"first"


def test_creating_works_again_after_a_removal(store):
    store.put_if_absent("key", b"first")
    store.delete("key")
    store.put_if_absent("key", b"second")

    assert store.get("key") == b"second"


def test_one_of_many_creators_wins(store):
    threads = 12
    barrier = threading.Barrier(threads)

    def create(number):
        barrier.wait()
        try:
            store.put_if_absent("key", b"%d" % number)
        except AlreadyExistsError:
            return None
        return number

    with ThreadPoolExecutor(threads) as pool:
        winners = [number for number in pool.map(create, range(threads)) if number is not None]

    assert len(winners) == 1
    assert store.get("key") == b"%d" % winners[0]


@pytest.mark.parametrize("source", ["put", "get_with_etag", "head", "list"])
def test_replacing_what_has_not_changed_writes(store, source):
    etags = {"put": store.put("key", b"first")}
    etags["get_with_etag"] = store.get_with_etag("key")[1]
    etags["head"] = store.head("key").etag
    etags["list"] = next(iter(store.list("key"))).etag
    etag = store.put_if_match("key", b"second", etags[source])

    assert store.get_with_etag("key") == (b"second", etag)


def test_replacing_what_has_changed_leaves_it(store):
    etag = store.put("a/key", b"first")
    store.put("a/key", b"other")

    with pytest.raises(ConflictError, match="a/key has changed meanwhile"):
        store.put_if_match("a/key", b"second", etag)
    assert store.get("a/key") == b"other"


def test_replacing_what_is_gone_does_not_bring_it_back(store):
    etag = store.put("a/key", b"first")
    store.delete("a/key")

    with pytest.raises(ConflictError, match="a/key"):
        store.put_if_match("a/key", b"second", etag)
    assert store.head("a/key") is None


def test_threads_that_count_lose_no_step(store):
    store.put("counter", b"0")

    def count(_):
        while True:
            value, etag = store.get_with_etag("counter")
            try:
                return store.put_if_match("counter", b"%d" % (int(value) + 1), etag)
            except ConflictError:
                continue

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(count, range(12)))

    assert store.get("counter") == b"12"


@pytest.mark.parametrize("source", ["put", "get_with_etag", "head", "list"])
def test_removing_what_has_not_changed_removes_it(store, source):
    etags = {"put": store.put("a/key", b"first")}
    etags["get_with_etag"] = store.get_with_etag("a/key")[1]
    etags["head"] = store.head("a/key").etag
    etags["list"] = next(iter(store.list("a/key"))).etag
    store.delete_if_match("a/key", etags[source])

    assert list(store.list("")) == []


@pytest.mark.parametrize("store", ["folder", "moto_server"], indirect=True)
def test_removing_what_has_changed_leaves_it(store):
    etag = store.put("a/key", b"first")
    second = store.put("a/key", b"second")

    with pytest.raises(ConflictError, match="a/key has changed meanwhile"):
        store.delete_if_match("a/key", etag)
    assert store.get_with_etag("a/key") == (b"second", second)


def test_removing_what_is_gone_is_no_error(store):
    etag = store.put("a/key", b"first")
    store.delete("a/key")
    store.delete_if_match("a/key", etag)

    assert list(store.list("")) == []


def test_trying_tells_whether_a_store_leaves_what_has_changed(store):
    etag = store.put("a/key", b"first")
    store.put("a/key", b"second")
    with suppress(ConflictError):
        store.delete_if_match("a/key", etag)
    left = list(store.list(""))

    assert store.deletes_conditionally() is bool(left)
    assert list(store.list("")) == left
