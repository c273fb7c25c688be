"""Keys that no store takes, and those that it takes from others."""

import re

import pytest

from ml.errors import InvalidKeyError
from ml.storage import validate_key

WRITES = {
    "put": lambda store, key, path: store.put(key, b""),
    "put_if_absent": lambda store, key, path: store.put_if_absent(key, b""),
    "put_if_match": lambda store, key, path: store.put_if_match(key, b"", "etag"),
    "upload": lambda store, key, path: store.upload(path, key),
}
READS = {
    "get": lambda store, key, path: store.get(key),
    "get_with_etag": lambda store, key, path: store.get_with_etag(key),
    "head": lambda store, key, path: store.head(key),
    "delete": lambda store, key, path: store.delete(key),
    "delete_if_match": lambda store, key, path: store.delete_if_match(key, "etag"),
    "download": lambda store, key, path: store.download(key, path),
    "materialize": lambda store, key, path: store.materialize(key, path.parent),
}


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        pytest.param("", "is empty", id="empty"),
        pytest.param("k" * 1025, "has 1025 bytes, more than 1024", id="long"),
        pytest.param("é" * 513, "has 1026 bytes, more than 1024", id="long in bytes"),
        pytest.param("a\udcffb", "cannot be written as UTF-8", id="surrogate"),
        pytest.param("a\nb", "has a control character", id="line feed"),
        pytest.param("a\0b", "has a control character", id="zero"),
        pytest.param("a\x7fb", "has a control character", id="delete"),
        pytest.param("/a", "has an empty, '.' or '..' part", id="slash first"),
        pytest.param("a/", "has an empty, '.' or '..' part", id="slash last"),
        pytest.param("a//b", "has an empty, '.' or '..' part", id="two slashes"),
        pytest.param("./a", "has an empty, '.' or '..' part", id="dot"),
        pytest.param("a/..", "has an empty, '.' or '..' part", id="two dots"),
    ],
)
def test_a_key_that_some_store_cannot_hold_is_refused(key, problem):
    with pytest.raises(InvalidKeyError, match=re.escape(f"The key {key!r} {problem}. Remedy: Rename the object.")):
        validate_key(key)


@pytest.mark.parametrize("key", ["k" * 1024, "...", "a/...b", ".a", "a b/c"])
def test_keys_at_the_limits_are_taken(key):
    validate_key(key)


@pytest.mark.parametrize("method", WRITES)
def test_nothing_is_written_to_a_key_that_leaves_the_store(store, tmp_path, method):
    path = tmp_path / "file"
    path.write_bytes(b"data")

    with pytest.raises(InvalidKeyError, match=r"The key 'a/\.\./\.\./file'"):
        WRITES[method](store, "a/../../file", path)
    assert path.read_bytes() == b"data"


@pytest.mark.parametrize("method", READS)
@pytest.mark.parametrize("key", ["a/../../file", "/etc/hosts", ".quartet/lock", "a//b", "a\0b", ""])
def test_a_folder_is_not_read_outside_its_objects(folder_store, tmp_path, method, key):
    path = tmp_path / "file"
    path.write_bytes(b"data")

    with pytest.raises(InvalidKeyError, match=r"names no file below .* Use a key as it is listed"):
        READS[method](folder_store, key, path)
    assert path.read_bytes() == b"data"


def assert_listed_read_and_removed(store, key, tmp_path):
    (info,) = store.list("in/")
    store.download(info.key, tmp_path / "copy")

    assert info.key == key
    assert store.get_with_etag(info.key) == (b"data", info.etag)
    # Of the time of a change, a listing may tell a fraction of a second that the header has no room for.
    assert store.head(info.key)._replace(last_modified=info.last_modified) == info
    assert (tmp_path / "copy").read_bytes() == b"data"
    store.delete_if_match(info.key, info.etag)
    assert list(store.list("in/")) == []


@pytest.mark.parametrize(
    "key", [pytest.param("in/line\nfeed", id="line feed"), pytest.param("in/\udcff", id="not UTF-8")]
)
def test_what_others_copied_under_an_odd_key_is_listed_read_and_removed(folder_store, tmp_path, key):
    path = tmp_path / "store" / key
    path.parent.mkdir(parents=True)
    path.write_bytes(b"data")

    assert_listed_read_and_removed(folder_store, key, tmp_path)


@pytest.mark.parametrize(
    "key",
    [
        pytest.param("in/tab\tulator", id="tabulator"),
        pytest.param("in/../up", id="two dots"),
        pytest.param("in//slashes", id="two slashes"),
        pytest.param("in/folder/", id="slash last"),
        pytest.param("in/%2e%2e/q?a=b#c+ &", id="what addresses escape"),
    ],
)
def test_what_others_put_under_an_odd_key_is_listed_read_and_removed(s3_store, bucket, tmp_path, key):
    bucket.put_object(Key=f"{s3_store.url.rsplit('/', 1)[1]}/{key}", Body=b"data")

    assert_listed_read_and_removed(s3_store, key, tmp_path)


def test_a_bucket_s_empty_folder_markers_are_not_listed(bucket, s3_store):
    bucket.put_object(Key=f"{s3_store.url.rsplit('/', 1)[1]}/in/folder/", Body=b"")

    assert list(s3_store.list("")) == []
