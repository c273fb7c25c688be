"""Keys that no store takes."""

import re

import pytest

from ml.errors import InvalidKeyError
from ml.storage import validate_key

METHODS = {
    "get": lambda store, key, path: store.get(key),
    "get_with_etag": lambda store, key, path: store.get_with_etag(key),
    "put": lambda store, key, path: store.put(key, b""),
    "put_if_absent": lambda store, key, path: store.put_if_absent(key, b""),
    "put_if_match": lambda store, key, path: store.put_if_match(key, b"", "etag"),
    "head": lambda store, key, path: store.head(key),
    "delete": lambda store, key, path: store.delete(key),
    "upload": lambda store, key, path: store.upload(path, key),
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


def test_every_method_refuses_a_key_that_leaves_the_store(store, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"data")

    for call in METHODS.values():
        with pytest.raises(InvalidKeyError, match=r"The key 'a/\.\./\.\./file'"):
            call(store, "a/../../file", path)
    assert path.read_bytes() == b"data"
