from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import psutil
import pytest

from infra.local import process_table
from infra.local.process_table import ProcessEntry, family, parse_ps, parse_stat, read_process_table


def entry(pid, parent=1, group=None, session=None, state="S", boot="today", started="100"):
    return ProcessEntry(pid, parent, group or pid, session or pid, state, boot, started)


def table(*entries):
    return {item.pid: item for item in entries}


def pids(members):
    return {item.pid for item in members}


@pytest.mark.parametrize("name", ["python", "tmux: server", "a) S 1 (b", "x\ny"])
def test_stat_is_read_whatever_the_processs_name(name):
    rest = "S 7 8 9 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 99 100"
    assert parse_stat(f"12 ({name}) {rest}", "b") == ProcessEntry(12, 7, 8, 9, "S", "b", "4711")


def test_a_line_of_ps_is_read():
    parsed = parse_ps("  501     1   501 Ss   Mon Nov 23 20:57:01 2026")
    assert parsed == ProcessEntry(501, 1, 501, 501, "Ss", "", "Mon Nov 23 20:57:01 2026")


def test_this_process_is_in_the_table():
    ours = read_process_table()[os.getpid()]
    assert ours.alive
    assert ours.parent == psutil.Process().ppid()
    assert (ours.group, ours.session) == (os.getpgid(0), os.getsid(0))


@pytest.mark.skipif(subprocess.run(["which", "ps"], capture_output=True).returncode != 0, reason="there is no ps")
def test_without_proc_the_table_comes_from_ps(monkeypatch, tmp_path):
    monkeypatch.setattr(process_table, "BOOT_ID", tmp_path / "missing")
    ours = read_process_table()[os.getpid()]
    assert (ours.parent, ours.group, ours.alive) == (os.getppid(), os.getpgid(0), True)


def test_a_process_that_ended_but_was_not_waited_for_is_not_alive(wait_until):
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        wait_until(lambda: not read_process_table()[process.pid].alive)


def test_a_later_process_with_the_same_pid_is_another():
    assert not entry(5).is_same(entry(5, started="101"))
    assert not entry(5).is_same(entry(5, boot="tomorrow"))
    assert not entry(5).is_same(None)
    assert entry(5).is_same(entry(5, state="Z", parent=9))


def test_a_family_is_session_group_and_descendants():
    leader = entry(10)
    others = table(
        leader,
        entry(11, parent=10, group=10, session=10),
        entry(12, parent=11, group=12, session=10),  # a task: a group of its own
        entry(13, parent=12, group=13, session=13),  # a shell task: a session of its own
        entry(14, parent=13, group=13, session=13),
        entry(20, parent=1),
    )
    assert pids(family(leader, others)) == {10, 11, 12, 13, 14}


def test_members_outlive_their_leader():
    others = table(entry(11, parent=1, group=10, session=10), entry(12, parent=11, group=12, session=12), entry(20))
    assert pids(family(entry(10), others)) == {11, 12}


def test_a_stranger_with_the_leaders_pid_has_no_family_of_ours():
    stranger = entry(10, started="999")
    others = table(stranger, entry(11, parent=10, group=10, session=10))
    assert family(entry(10), others) == set()


def test_a_session_of_another_boot_is_not_ours():
    others = table(entry(11, parent=1, group=10, session=10, boot="tomorrow"))
    assert family(entry(10), others) == set()


def test_known_members_count_after_they_lost_their_parent_unless_their_pid_was_recycled():
    lost, recycled = entry(13, parent=1), entry(14, parent=1, started="999")
    others = table(lost, recycled)
    assert family(entry(10), others, known=[entry(13, parent=12), entry(14, parent=12)]) == {lost}


def test_ended_members_do_not_count_but_their_children_do():
    ended = entry(11, parent=10, group=10, session=10, state="Z")
    others = table(entry(10), ended, entry(12, parent=11, group=12, session=12))
    assert pids(family(entry(10), others)) == {10, 12}
    assert replace(ended, state="S").alive
