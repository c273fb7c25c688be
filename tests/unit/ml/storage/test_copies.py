import os

import pytest

from ml.config import StoreSettings
from ml.errors import ConfigError
from ml.storage.copies import LocalCopies


@pytest.fixture
def folder(tmp_path):
    """Four copies of 10 bytes; the first was used last."""
    for age, name in enumerate("abcd"):
        (tmp_path / name).write_bytes(b"0123456789")
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    return tmp_path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_was_not_used_for_longest_makes_room(folder):
    LocalCopies(30).make_room(folder / "new", 10)

    assert names(folder) == ["a", "b"]


def test_nothing_is_removed_where_there_is_room(folder):
    LocalCopies(50).make_room(folder / "new", 10)

    assert names(folder) == ["a", "b", "c", "d"]


def test_what_is_used_now_counts_as_new_and_stays(folder):
    copies = LocalCopies(30)
    copies.use(folder / "d")

    copies.make_room(folder / "new", 10)

    assert names(folder) == ["a", "d"]


def test_a_copy_that_is_fetched_again_does_not_count_twice(folder):
    LocalCopies(40).make_room(folder / "a", 10)

    assert names(folder) == ["a", "b", "c", "d"]


def test_what_is_being_written_is_left_alone(folder):
    (folder / ".half.tmp").write_bytes(b"0" * 100)

    LocalCopies(10).make_room(folder / "new", 10)

    assert names(folder) == [".half.tmp"]


def test_more_than_the_limit_in_use_is_refused_with_the_setting(folder):
    copies = LocalCopies(30)
    for name in "abc":
        copies.use(folder / name)

    with pytest.raises(ConfigError, match=r"more than store.cache_limit_gib = 2.79.*Raise it"):
        copies.make_room(folder / "new", 10)
    assert names(folder) == ["a", "b", "c"]


def test_s3_store_keeps_its_copies_below_the_limit(moto_server, s3_credentials, tmp_path):
    moto_server.bucket("copies")
    limit = StoreSettings(url="s3://copies", endpoint_url=moto_server.endpoint, cache_limit_gib=250 / 2**30)
    from ml.storage import open_store

    for name in "xyz":
        open_store(limit).put(f"{name}.npy", name.encode() * 100)
        open_store(limit).materialize(f"{name}.npy", tmp_path)

    assert [path.read_bytes()[:1] for path in sorted(tmp_path.iterdir(), key=lambda path: path.name[-5:])] == [
        b"y",
        b"z",
    ]
