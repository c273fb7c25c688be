import pytest

from ml.errors import NotFoundError
from ml.storage import dump_json, read_json
from ml.storage.base import replacing


def test_equal_documents_give_equal_bytes():
    assert dump_json({"b": [1, 2.5], "a": None}) == dump_json({"a": None, "b": [1, 2.5]})


def test_a_document_comes_back(store):
    document = {"name": "grün", "values": [1, 2.5, None, True], "nested": {"a": []}}
    store.put("document.json", dump_json(document))

    assert read_json(store, "document.json") == document


def test_a_document_is_readable_text():
    assert dump_json({"name": "grün"}) == '{\n  "name": "grün"\n}\n'.encode()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_json_cannot_say_is_refused(value):
    with pytest.raises(ValueError, match=r"not JSON compliant"):
        dump_json({"loss": value})


def test_a_document_that_is_not_there_is_named(store):
    with pytest.raises(NotFoundError, match=r"a/missing\.json"):
        read_json(store, "a/missing.json")


def test_a_file_is_replaced_when_its_writing_ends(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with replacing(path) as temporary:
        temporary.write_bytes(b"new")
        assert path.read_bytes() == b"old"

    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_writing_that_fails_replaces_nothing(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def break_off(temporary):
        temporary.write_bytes(b"ne")
        raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"), replacing(path) as temporary:
        break_off(temporary)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
