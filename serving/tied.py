"""Runs a program that ends with whoever started it: ``python -m serving.tied PID COMMAND...``, with the starter's pid.

A process that is killed outright cleans nothing up. The kernel does, where it can be asked to (Linux): the program gets
SIGTERM as soon as its parent is gone. Elsewhere it goes on.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

__all__ = ["main", "tied"]

#: Of Linux's prctl(2); it survives an exec.
PR_SET_PDEATHSIG = 1


def tied(command: list[str]) -> list[str]:
    """A command that runs another one for as long as this process, and the thread that starts it, are there."""
    return [sys.executable, "-m", "serving.tied", str(os.getpid()), *command]


def main(arguments: list[str]) -> None:
    """Tie this process to its parent, and become the command.

    Raises:
        OSError: there is no such program.
    """
    parent, *command = arguments
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        # It may have gone before that was said, and would never be told of.
        if os.getppid() != int(parent):
            return
    os.execvp(command[0], command)  # noqa: S606 - what to start is what the caller was asked to start


if __name__ == "__main__":
    main(sys.argv[1:])
