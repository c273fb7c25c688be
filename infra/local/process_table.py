"""The processes of this machine: from ``/proc`` where there is one, else from ``ps``."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["ProcessEntry", "family", "parse_ps", "parse_stat", "read_process_table"]

PROC = Path("/proc")
BOOT_ID = PROC / "sys/kernel/random/boot_id"


@dataclass(frozen=True)
class ProcessEntry:
    """A process. Its pid may be given to another one later; pid, boot and start together never are.

    ``boot`` names the machine's current boot where that is known, and is empty where it is not.
    """

    pid: int
    parent: int
    group: int
    session: int
    state: str
    boot: str
    started: str

    @property
    def alive(self) -> bool:
        """False for a process that has ended and waits for its parent to notice."""
        return self.state[:1] not in {"Z", "X"}

    def is_same(self, other: ProcessEntry | None) -> bool:
        """Whether the other entry is of the same process, whatever has become of it since."""
        return other is not None and (self.pid, self.boot, self.started) == (other.pid, other.boot, other.started)


def read_process_table() -> dict[int, ProcessEntry]:
    """All processes by pid, those that ended but were not waited for included."""
    if BOOT_ID.is_file():
        boot = BOOT_ID.read_text(encoding="ascii").strip()
        entries = (_read_stat(folder, boot) for folder in PROC.iterdir() if folder.name.isdigit())
        return {entry.pid: entry for entry in entries if entry is not None}
    command = ["ps", "-A", "-o", "pid=,ppid=,pgid=,stat=,lstart="]
    listing = subprocess.run(command, capture_output=True, text=True, check=True, env={"LC_ALL": "C"})
    return {entry.pid: entry for entry in map(parse_ps, listing.stdout.splitlines())}


def parse_stat(text: str, boot: str) -> ProcessEntry:
    """Read ``/proc/<pid>/stat``; its second field, the name in brackets, can hold spaces and brackets (proc(5))."""
    pid, _, rest = text.partition(" ")
    fields = rest.rpartition(")")[2].split()
    return ProcessEntry(
        pid=int(pid),
        state=fields[0],
        parent=int(fields[1]),
        group=int(fields[2]),
        session=int(fields[3]),
        boot=boot,
        started=fields[19],
    )


def parse_ps(line: str) -> ProcessEntry:
    """Read a line of ``ps``. The group stands for the session, which ``ps`` does not tell on every system."""
    pid, parent, group, state, started = line.split(None, 4)
    return ProcessEntry(
        pid=int(pid), parent=int(parent), group=int(group), session=int(group), state=state, boot="", started=started
    )


def family(
    leader: ProcessEntry, table: dict[int, ProcessEntry], known: Iterable[ProcessEntry] = ()
) -> set[ProcessEntry]:
    """The living processes that a session's leader and its members have started.

    Airflow puts each task into a group of its own, and a shell task into a session of its own; so membership goes
    by session, by group and by parentage. As long as a session has members, its number is not given to a new
    process; so members whose leader is gone are still its own.

    Args:
        leader: as it was when it was started.
        table: of now.
        known: members seen before, who may have lost the parent that tied them to the leader.
    """
    found = {entry.pid for entry in known if entry.is_same(table.get(entry.pid))}
    current = table.get(leader.pid)
    if current is None or current.is_same(leader):
        found |= {entry.pid for entry in table.values() if _belongs(entry, leader)}
    while True:
        children = {entry.pid for entry in table.values() if entry.parent in found} - found
        if not children:
            return {table[pid] for pid in found if table[pid].alive}
        found |= children


def _belongs(entry: ProcessEntry, leader: ProcessEntry) -> bool:
    return entry.boot == leader.boot and leader.pid in (entry.session, entry.group)


def _read_stat(folder: Path, boot: str) -> ProcessEntry | None:
    try:
        return parse_stat((folder / "stat").read_text(encoding="utf-8", errors="replace"), boot)
    except (FileNotFoundError, ProcessLookupError):  # it ended while the folder was listed
        return None
