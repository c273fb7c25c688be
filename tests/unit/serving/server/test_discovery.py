import logging

import pytest

from serving.server.discovery import discover_versions


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("1", 1),
        ("0", 0),
        ("00000123", 123),
        ("+5", 5),
        ("-5", -5),
        (" 7 ", 7),
        (str(2**63 - 1), 2**63 - 1),
        (str(2**63), None),
        (".tmp-9", None),
        ("9.partial", None),
        ("tmp", None),
        ("1_000", None),
        ("٣", None),
        ("9" * 200, None),
    ],
)
def test_a_version_is_a_child_whose_whole_name_is_a_number(tmp_path, name, version):
    (tmp_path / name).mkdir()

    assert discover_versions(tmp_path) == ({} if version is None else {version: tmp_path / name})


def test_of_two_names_for_one_number_one_wins_with_a_warning(tmp_path, caplog):
    for name in ("3", "03"):
        (tmp_path / name).mkdir()

    with caplog.at_level(logging.WARNING):
        assert discover_versions(tmp_path) == {3: tmp_path / "03"}

    assert "are both version 3" in caplog.text


def test_a_base_path_that_is_missing_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        discover_versions(tmp_path / "nowhere")
