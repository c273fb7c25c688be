"""What every store lists, and in which order."""

import pytest

#: In the order of their bytes: the slash (0x2F) lies between the dot and the zero.
KEYS = ["d/B", "d/a!", "d/a-b", "d/a.b", "d/a/b", "d/a/c/d", "d/a0", "d/ab/c", "d/z", "d/é", "d/\uffee", "d/😀", "e"]


@pytest.fixture
def filled(store):
    for key in reversed(KEYS):
        store.put(key, key.encode())
    return store


def keys(store, prefix):
    return [info.key for info in store.list(prefix)]


def test_keys_come_in_the_order_of_their_bytes(filled):
    assert sorted(KEYS, key=str.encode) == KEYS
    assert keys(filled, "") == KEYS


def test_a_prefix_may_end_anywhere(filled):
    prefixes = ["d/", "d/a", "d/a/", "d/a/c", "d/a/b", "d", "e", "d/😀"]

    assert {prefix: keys(filled, prefix) for prefix in prefixes} == {
        prefix: [key for key in KEYS if key.startswith(prefix)] for prefix in prefixes
    }


def test_nothing_is_listed_where_nothing_is(filled):
    prefixes = ["d/none", "none/", "d/a/b/", "e/", "D/", "/", "/d/", "../", "d//a", "./d/", "d/../d/", "/etc/"]

    assert {prefix: keys(filled, prefix) for prefix in prefixes} == {prefix: [] for prefix in prefixes}


def test_an_empty_store_lists_nothing(store):
    assert keys(store, "") == []


def test_a_listing_describes_as_head_does(filled):
    for info in filled.list("d/a"):
        described = filled.head(info.key)
        assert (info.key, info.size, info.etag) == (described.key, described.size, described.etag)
        assert abs((info.last_modified - described.last_modified).total_seconds()) < 2


def test_a_listing_goes_on_when_objects_go_meanwhile(filled):
    listing = filled.list("d/")
    seen = [next(listing).key]
    for key in ("d/a!", "d/a/b", "d/a/c/d"):
        filled.delete(key)
    seen += [info.key for info in listing]

    assert {key for key in KEYS if key.startswith("d/")} >= set(seen) >= {"d/B", "d/a-b", "d/z", "d/😀"}


def test_every_object_may_be_removed_while_it_is_listed(filled):
    for info in filled.list(""):
        filled.delete(info.key)

    assert keys(filled, "") == []
