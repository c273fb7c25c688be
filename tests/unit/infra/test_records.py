from __future__ import annotations

import pytest

from infra.local.errors import StackError
from infra.local.process_table import ProcessEntry
from infra.local.records import Record, read_record, write_record


def test_a_record_reads_back(tmp_path):
    record = Record(ProcessEntry(1, 2, 3, 4, "S", "boot", "start"), "http://127.0.0.1:8080")
    write_record(tmp_path / "a.json", record)
    assert read_record(tmp_path / "a.json") == record


def test_no_file_is_no_record(tmp_path):
    assert read_record(tmp_path / "a.json") is None


@pytest.mark.parametrize("text", ["", "123", "{}", '{"process": {"pid": 1}, "address": ""}', '{"process": 5}'])
def test_what_is_no_record_is_named_and_not_guessed_at(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(StackError, match=r"a\.json"):
        read_record(tmp_path / "a.json")
