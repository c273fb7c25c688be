"""Objects to files and back."""

import os

import pytest

from ml.errors import NotFoundError

MIB = 2**20


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "source.bin"
    path.write_bytes(b"content")
    return path


def test_a_file_becomes_an_object(store, file):
    store.upload(file, "a/b.bin")

    assert store.get("a/b.bin") == b"content"
    assert file.read_bytes() == b"content"


def test_an_upload_replaces_and_changes_the_etag(store, file):
    before = store.put("a/b.bin", b"older")
    store.upload(file, "a/b.bin")

    assert store.get("a/b.bin") == b"content"
    assert store.head("a/b.bin").etag != before


def test_an_object_becomes_a_file_in_a_new_folder(store, tmp_path):
    store.put("a/b.bin", b"content")
    store.download("a/b.bin", tmp_path / "new" / "folder" / "b.bin")

    assert (tmp_path / "new" / "folder" / "b.bin").read_bytes() == b"content"
    assert [path.name for path in (tmp_path / "new" / "folder").iterdir()] == ["b.bin"]


def test_a_large_file_goes_in_parts_and_comes_back_whole(store, tmp_path):
    data = os.urandom(9 * MIB)  # boto3 splits from 8 MiB on
    (tmp_path / "large").write_bytes(data)
    store.upload(tmp_path / "large", "large")
    store.download("large", tmp_path / "again")

    assert store.head("large").size == len(data)
    assert (tmp_path / "again").read_bytes() == data


def test_an_object_sent_in_parts_can_be_replaced_under_its_etag(store, tmp_path):
    (tmp_path / "large").write_bytes(bytes(9 * MIB))
    store.upload(tmp_path / "large", "large")
    store.put_if_match("large", b"small", store.head("large").etag)

    assert store.get("large") == b"small"


def test_a_download_that_fails_leaves_no_file(store, tmp_path):
    with pytest.raises(NotFoundError, match=r"no object .*a/missing\.bin"):
        store.download("a/missing.bin", tmp_path / "folder" / "b.bin")
    assert list((tmp_path / "folder").iterdir()) == []


def test_a_download_that_fails_leaves_the_file_that_was_there(store, file):
    with pytest.raises(NotFoundError, match="missing"):
        store.download("missing", file)
    assert file.read_bytes() == b"content"


def test_a_place_that_cannot_be_written_is_not_taken_for_a_missing_object(store, file):
    store.put("key", b"data")

    with pytest.raises(OSError, match=file.name):
        store.download("key", file / "below")


def test_a_materialized_object_is_a_local_file(store, tmp_path):
    store.put("a/shard.npy", b"data")

    assert store.materialize("a/shard.npy", tmp_path / "cache").read_bytes() == b"data"


def test_objects_of_the_same_name_are_materialized_apart(store, tmp_path):
    keys = ["a/shard.npy", "b/shard.npy"]
    for key in keys:
        store.put(key, key.encode())

    assert [store.materialize(key, tmp_path / "cache").read_text() for key in keys] == keys


def test_materializing_what_is_not_there_names_the_key(store, tmp_path):
    with pytest.raises(NotFoundError, match=r"no object .*a/shard\.npy"):
        store.materialize("a/shard.npy", tmp_path / "cache")


def test_a_discarded_copy_leaves_the_object_and_other_copies(store, tmp_path):
    for key in ("a/shard.npy", "b/shard.npy"):
        store.put(key, key.encode())
        store.materialize(key, tmp_path / "cache")
    store.discard("a/shard.npy", tmp_path / "cache")
    store.discard("missing", tmp_path / "cache")

    assert store.get("a/shard.npy") == b"a/shard.npy"
    left = [path.read_bytes() for path in (tmp_path / "cache").glob("*")]
    assert left in ([], [b"b/shard.npy"])
    assert store.materialize("a/shard.npy", tmp_path / "cache").read_bytes() == b"a/shard.npy"
