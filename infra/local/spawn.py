"""Starts a component so that it outlives whoever asked: ``python -m infra.local.spawn PID_FILE ADDRESS COMMAND...``.

This process ends at once, and the component, in a session of its own, is left to init. The pid file is there when
this process has ended.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from infra.local.process_table import read_process_table
from infra.local.records import Record, write_record

__all__ = ["main"]


def main(arguments: list[str]) -> None:
    """Start the command and note its pid."""
    pid_file, address, *command = arguments
    process = subprocess.Popen(command, start_new_session=True)
    entry = read_process_table()[process.pid]
    write_record(Path(pid_file), Record(entry, address))


if __name__ == "__main__":
    main(sys.argv[1:])
    sys.stdout.flush()
    # Leaves without the interpreter's clean-up, which would complain about a child that still runs: it is meant to.
    os._exit(0)
