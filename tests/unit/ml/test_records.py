"""Small records, read once while they stay."""

from __future__ import annotations

import pytest

from ml.errors import DataError, NotFoundError
from ml.records import Records, write_pack
from ml.storage import dump_json
from ml.storage.folder import FolderStore

COUNT = 30


class Counted(FolderStore):
    """A folder that says how many objects were read."""

    reads = 0

    def get_with_etag(self, key):
        self.reads += 1
        return super().get_with_etag(key)


@pytest.fixture
def store(tmp_path):
    store = Counted(tmp_path)
    for number in range(COUNT):
        write(store, number)
    return store


def key(number):
    return f"notes/m/{number:02d}.json"


def write(store, number, text="as it was"):
    store.put(key(number), dump_json({"number": number, "text": text}))


def texts(records, store):
    return {one.key: one.document["text"] for one in records.below(store, "notes/m/")}


def test_records_are_given_by_key_and_read_only_once(store):
    records = Records()
    first = records.below(store, "notes/m/")
    read = store.reads
    second = records.below(store, "notes/m/")

    assert [one.document["number"] for one in first] == list(range(COUNT))
    assert second == first
    assert store.reads == read


def test_only_what_has_changed_is_read_again(store):
    records = Records()
    records.below(store, "notes/m/")
    read = store.reads
    write(store, 7, "changed")
    store.delete(key(8))
    write(store, COUNT, "new")

    found = texts(records, store)

    assert (found[key(7)], found[key(COUNT)], key(8) in found) == ("changed", "new", False)
    assert store.reads == read + 2


def test_a_pack_is_read_in_the_place_of_what_it_holds(store):
    write_pack(store, "notes/m/")
    write(store, 7, "changed since")
    expected = texts(Records(), store)
    store.reads = 0

    assert texts(Records(), store) == expected
    assert expected[key(7)] == "changed since"
    assert store.reads == 2


def test_a_pack_is_written_anew_only_when_it_lacks_something(store):
    write_pack(store, "notes/m/")
    before = store.head("packs/notes/m.json")
    write_pack(store, "notes/m/")
    assert store.head("packs/notes/m.json") == before

    write(store, 7, "changed")
    write_pack(store, "notes/m/")
    assert store.head("packs/notes/m.json") != before


@pytest.mark.parametrize(
    "data", [b"{", b"[]", b'{"records": 3}', b'{"records": {"notes/m/07.json": {"etag": "x"}}}', b"\xff"]
)
def test_a_damaged_pack_is_passed_over(store, data):
    store.put("packs/notes/m.json", data)

    assert len(texts(Records(), store)) == COUNT


def test_a_damaged_record_is_named_and_the_others_are_given(store):
    store.put(key(3), b'{"number": ')
    write_pack(store, "notes/m/")

    found = Records().below(store, "notes/m/")

    assert len(found) == COUNT
    assert [one.key for one in found if one.problem] == [key(3)]
    assert found[3].problem.startswith(f"{store.uri(key(3))} is damaged")


def test_those_that_were_written_last_can_be_asked_for(store):
    write(store, 5, "again")
    write(store, 2, "again")

    assert [one.key for one in Records().below(store, "notes/m/", newest=2)] == [key(2), key(5)]


def test_what_finds_no_room_is_read_again(store):
    size = len(store.get(key(0)))
    records = Records(most_bytes=4 * size)
    assert texts(records, store) == texts(records, store)
    store.reads = 0

    texts(records, store)

    assert store.reads >= COUNT - 4


def test_one_record_is_read_once_while_it_stays(store):
    records = Records()
    assert [records.get(store, key(1))["text"] for _ in range(3)] == ["as it was"] * 3
    assert store.reads == 1

    write(store, 1, "changed")
    assert records.get(store, key(1))["text"] == "changed"


def test_one_record_that_is_gone_or_damaged_is_an_error(store):
    records = Records()
    records.get(store, key(1))
    store.delete(key(1))
    with pytest.raises(NotFoundError, match=key(1)):
        records.get(store, key(1))

    store.put(key(1), b"{")
    with pytest.raises(DataError, match=f"{key(1)} is damaged"):
        records.get(store, key(1))


def test_stores_are_told_apart(store, tmp_path_factory):
    other = FolderStore(tmp_path_factory.mktemp("other"))
    write(other, 1, "of the other")
    records = Records()
    records.get(store, key(1))

    assert records.get(other, key(1))["text"] == "of the other"
    assert records.get(store, key(1))["text"] == "as it was"
