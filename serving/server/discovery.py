"""Which children of a base path are versions."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["INT64_MAX", "discover_versions"]

log = logging.getLogger(__name__)

INT64_MAX = 2**63 - 1
#: What TensorFlow Serving's parser takes for a number: blanks around it, a sign and leading zeros are allowed.
NUMBER = re.compile(r"\s*[+-]?[0-9]+\s*", re.ASCII)


def discover_versions(base_path: Path) -> dict[int, Path]:
    """Children of a base path whose whole name is a 64-bit number, by that number; every other name is ignored.

    Of two names for one number the first in alphabetical order wins, and a warning names both.

    Raises:
        OSError: the base path is missing or cannot be read.
    """
    found: dict[int, Path] = {}
    for path in sorted(base_path.iterdir()):
        version = int(path.name) if NUMBER.fullmatch(path.name) and len(path.name) < 64 else None
        if version is None or not -INT64_MAX - 1 <= version <= INT64_MAX:
            continue
        if version in found:
            log.warning("%s and %s are both version %d; the first one counts", found[version], path, version)
        else:
            found[version] = path
    return found
