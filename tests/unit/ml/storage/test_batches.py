"""Many objects at once, named by what they hold."""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from ml.errors import InvalidKeyError, StoreError
from ml.storage import base, put_in_batches


def contents(store):
    return {info.key: store.get(info.key) for info in store.list("")}


def test_all_are_created(store):
    objects = {f"images/{number % 3}/{number}": b"%d" % number for number in range(20)}
    store.put_all_once(objects)

    assert contents(store) == objects


def test_nothing_is_no_work(store):
    store.put_all_once({})

    assert contents(store) == {}


def test_what_is_there_stands(store):
    store.put("a/1", b"first")
    store.put_all_once({"a/1": b"second", "a/2": b"new"})

    assert contents(store) == {"a/1": b"first", "a/2": b"new"}


def test_writers_of_the_same_objects_do_not_disturb_each_other(store):
    objects = {f"{number % 2}/{number}": b"%d" % number for number in range(12)}
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(store.put_all_once, [objects] * 4))

    assert contents(store) == objects


def test_a_key_that_cannot_be_written_is_named_and_no_object_is_there_in_part(store):
    objects = {"a/1": b"one", "a//2": b"two"}

    with pytest.raises(InvalidKeyError, match="'a//2' has an empty"):
        store.put_all_once(objects)
    assert set(contents(store).items()) <= {("a/1", b"one")}


def test_a_folder_has_no_remains_of_an_error(folder_store, tmp_path):
    folder_store.put("a", b"object")

    with pytest.raises(StoreError, match="a/b cannot be written: part of its path is an object"):
        folder_store.put_all_once({"a/b": b"data"})
    assert [path.name for path in (tmp_path / "store/.quartet").iterdir()] == ["lock"]
    assert contents(folder_store) == {"a": b"object"}


def test_an_object_is_never_in_the_place_of_a_folder(folder_store):
    folder_store.put("a/b", b"object")

    with pytest.raises(StoreError, match="it is a folder"):
        folder_store.put_all_once({"a": b"data"})


@pytest.mark.parametrize("linux", [True, False])
def test_bytes_are_flushed_before_names_and_names_before_the_end(folder_store, tmp_path, monkeypatch, linux):
    root = tmp_path / "store"
    if not linux:
        monkeypatch.setattr(base, "SYNCFS", None)
    flushed = []

    def flush(*_):
        written = [path.name for path in (root / ".quartet").rglob("*") if path.is_file()]
        flushed.append((len(written), sorted(contents(folder_store))))
        return 0

    monkeypatch.setattr(*((base, "SYNCFS") if linux else (os, "sync")), flush)
    folder_store.put_all_once({"a/1": b"one", "b/2": b"two"})

    assert flushed == [(2, []), (0, ["a/1", "b/2"])]


def test_a_disk_that_cannot_flush_is_an_error(folder_store, monkeypatch):
    monkeypatch.setattr(base, "SYNCFS", lambda _descriptor: -1)

    with pytest.raises(StoreError, match="cannot be written"):
        folder_store.put_all_once({"a/1": b"one"})
    assert contents(folder_store) == {}


def test_batches_end_where_their_size_is_reached(folder_store, monkeypatch):
    batches = []
    monkeypatch.setattr(base, "BATCH_BYTES", 5)
    monkeypatch.setattr(folder_store, "put_all_once", lambda objects: batches.append(dict(objects)))
    put_in_batches(folder_store, iter([{"a": b"12", "b": b"34"}, {}, {"c": b"56"}, {"d": b"7"}]))

    assert batches == [{"a": b"12", "b": b"34", "c": b"56"}, {"d": b"7"}]
