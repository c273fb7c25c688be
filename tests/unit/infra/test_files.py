from __future__ import annotations

import os
import stat

import pytest

from infra.local.files import replace_file, tail


@pytest.mark.parametrize(
    ("content", "lines", "expected"),
    [
        (b"", 3, ()),
        (b"one\n", 3, ("one",)),
        (b"one\ntwo\nthree", 2, ("two", "three")),
        (b"one\n", 0, ()),
        (b"\xff\xfe\n", 1, ("\ufffd\ufffd",)),
        (b"x" * 200_000 + b"\nlast\n", 1, ("last",)),
    ],
    ids=["empty", "short", "no newline at the end", "none asked for", "not UTF-8", "long"],
)
def test_tail_gives_the_last_lines(tmp_path, content, lines, expected):
    path = tmp_path / "log"
    path.write_bytes(content)
    assert tail(path, lines) == expected


def test_tail_of_no_file_is_empty(tmp_path):
    assert tail(tmp_path / "log", 5) == ()


def test_a_private_file_stays_private_whatever_the_umask_and_its_predecessor(tmp_path):
    path = tmp_path / "secret"
    path.write_text("old")
    path.chmod(0o666)
    before = os.umask(0)
    try:
        replace_file(path, "new", 0o600)
    finally:
        os.umask(before)
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]
