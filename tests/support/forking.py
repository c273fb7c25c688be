"""What is to be killed runs in a process that is forked from one that has done the imports."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["forked"]


def forked(action: Callable[[], object]) -> tuple[int, str]:
    """Run in a process of its own; returns its signal (0 for none) and what it wrote down."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            answer = str(action() or "")
        except BaseException as error:  # noqa: BLE001 - the parent must see it, whatever it is
            answer = f"failed: {error!r}"
        os.write(writing, answer.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        answer = pipe.read()
    _, status = os.waitpid(child, 0)
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0, answer
