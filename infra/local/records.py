"""Pid files: which process a component is, told so that a recycled pid is not mistaken for it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from infra.local.errors import StackError
from infra.local.files import replace_file
from infra.local.process_table import ProcessEntry

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Record", "read_record", "write_record"]


@dataclass(frozen=True)
class Record:
    """A component's process as it was when it started, and where it was told to listen."""

    process: ProcessEntry
    address: str


def write_record(path: Path, record: Record) -> None:
    """Write a pid file in one step."""
    replace_file(path, json.dumps(asdict(record)))


def read_record(path: Path) -> Record | None:
    """Read a pid file; None when there is none.

    Raises:
        StackError: the file is not one of ours.
    """
    if not path.is_file():
        return None
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return Record(ProcessEntry(**data["process"]), data["address"])
    except (ValueError, TypeError, KeyError) as error:
        raise StackError(f"{path} is not a pid file.", "End the process it was for by hand, and delete it.") from error
