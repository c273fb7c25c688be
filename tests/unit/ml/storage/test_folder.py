"""What is special about a store in a folder."""

import os
import subprocess
import sys
import time

import pytest

from ml.config import StoreSettings
from ml.errors import AlreadyExistsError, ConflictError, InvalidKeyError, NotFoundError, StoreError
from ml.storage import open_store

COUNT = """
import sys, time
from ml.config import StoreSettings
from ml.errors import ConflictError
from ml.storage import open_store

store = open_store(StoreSettings(url=sys.argv[1]))
store.put("ready/" + sys.argv[2], b"")
while store.head("go") is None:
    time.sleep(0.001)
left = 80
while left:
    value, etag = store.get_with_etag("counter")
    try:
        store.put_if_match("counter", b"%d" % (int(value) + 1), etag)
        left -= 1
    except ConflictError:
        pass
"""


@pytest.fixture
def store(folder_store):
    return folder_store


@pytest.fixture
def root(tmp_path):
    return tmp_path / "store"


def files(root):
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def test_opening_writes_nothing_and_an_absent_folder_is_empty(store, root):
    assert list(store.list("")) == []
    assert store.head("key") is None
    assert not root.exists()


def test_objects_are_plain_files(store, root):
    store.put("landing/glioma/1.png", b"data")

    assert (root / "landing/glioma/1.png").read_bytes() == b"data"
    assert store.uri("landing/glioma/1.png") == str(root / "landing/glioma/1.png")


def test_a_file_that_was_copied_in_is_an_object(store, root):
    (root / "landing/glioma").mkdir(parents=True)
    (root / "landing/glioma/1.png").write_bytes(b"data")
    (info,) = store.list("landing/")

    assert (info.key, info.size) == ("landing/glioma/1.png", 4)
    assert store.get_with_etag(info.key) == (b"data", info.etag)


def test_a_file_changed_by_hand_has_another_etag(store, root):
    etag = store.put("key", b"one")
    (root / "key").write_bytes(b"two")
    os.utime(root / "key", ns=(0, 0))

    assert store.head("key").etag != etag
    with pytest.raises(ConflictError, match="key"):
        store.put_if_match("key", b"three", etag)


def test_folders_without_files_are_no_objects(store, root):
    (root / "landing/glioma").mkdir(parents=True)

    assert list(store.list("")) == []
    assert store.head("landing/glioma") is None


def test_writing_leaves_nothing_temporary_behind(store, root, tmp_path):
    etag = store.put("a", b"1")
    store.put_if_match("a", b"2", etag)
    store.put_if_absent("b", b"1")
    with pytest.raises(AlreadyExistsError):
        store.put_if_absent("b", b"2")
    with pytest.raises(ConflictError):
        store.put_if_match("a", b"3", etag)
    with pytest.raises(StoreError, match="part of its path is an object"):
        store.put("a/b", b"1")
    with pytest.raises(StoreError, match=r"c cannot be written: .*missing"):
        store.upload(tmp_path / "missing", "c")

    assert files(root) == [".quartet/lock", "a", "b"]


@pytest.mark.parametrize("prefix", ["", ".", ".quartet", ".quartet/", ".quartet/l"])
def test_what_the_store_keeps_for_itself_is_not_listed(store, root, prefix):
    store.put("a", b"1")
    (root / ".quartet" / "left.tmp").write_bytes(b"by a killed process")

    assert [info.key for info in store.list(prefix)] == ["a"] * (prefix == "")


def test_a_folder_of_that_name_deeper_down_is_listed(store):
    store.put("a/.quartet/b", b"1")

    assert [info.key for info in store.list("a/")] == ["a/.quartet/b"]


@pytest.mark.parametrize(
    ("key", "problem"),
    [(".quartet/lock", "begins with .quartet"), ("a/" + "k" * 256, "has a part of more than 255 bytes")],
    ids=["private", "long name"],
)
def test_a_key_that_only_a_folder_cannot_hold_is_refused(store, key, problem):
    with pytest.raises(InvalidKeyError, match=f"'{key}' {problem}, which a folder cannot hold. Remedy: Rename"):
        store.put(key, b"")


@pytest.mark.parametrize("write", ["put", "put_if_absent"])
@pytest.mark.parametrize(("first", "second"), [("a/b", "a"), ("a", "a/b"), ("a", "a/b/c")])
def test_an_object_and_a_folder_of_one_name_clash(store, write, first, second):
    store.put(first, b"first")

    with pytest.raises(StoreError, match=f"{second} cannot be written.* Remedy: .*rename one"):
        getattr(store, write)(second, b"second")
    assert store.get(first) == b"first"
    with pytest.raises(NotFoundError, match=second):
        store.get(second)


def test_a_root_that_is_a_file_is_an_error_with_a_remedy(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    store = open_store(StoreSettings(url=str(tmp_path / "file")))

    with pytest.raises(StoreError, match=r"file/key cannot be written.* Remedy: "):
        store.put("key", b"")
    assert list(store.list("")) == []


def test_processes_that_count_lose_no_step(store, root):
    store.put("counter", b"0")
    counting = [subprocess.Popen([sys.executable, "-c", COUNT, str(root), str(number)]) for number in range(3)]
    while len(list(store.list("ready/"))) < 3:
        assert all(process.poll() is None for process in counting)
        time.sleep(0.01)
    store.put("go", b"")

    assert [process.wait(60) for process in counting] == [0] * 3
    assert store.get("counter") == b"240"


def test_a_materialized_object_is_the_file_itself(store, root, tmp_path):
    store.put("a/shard.npy", b"data")

    assert store.materialize("a/shard.npy", tmp_path / "cache") == root / "a/shard.npy"
    assert not (tmp_path / "cache").exists()


def test_a_file_copied_in_place_of_another_is_not_removed_with_it(folder_store, tmp_path):
    etag = folder_store.put("a/key", b"first")
    (tmp_path / "other").write_bytes(b"second")
    (tmp_path / "other").replace(tmp_path / "store/a/key")

    with pytest.raises(ConflictError):
        folder_store.delete_if_match("a/key", etag)
    assert folder_store.get("a/key") == b"second"
    assert [path.name for path in (tmp_path / "store/.quartet").iterdir()] == ["lock"]
