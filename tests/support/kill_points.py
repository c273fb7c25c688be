"""At how many points the tests of killed steps kill: half of them, all with ``QUARTET_ALL_KILLS=1``."""

from __future__ import annotations

import os

__all__ = ["kill_points"]


def kill_points(number: int) -> int:
    """So many points spread over all calls of a step; the first and the last one are always among them."""
    return number if os.environ.get("QUARTET_ALL_KILLS") == "1" else max(2, number // 2)
