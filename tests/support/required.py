"""Programs of the system that tests need."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["end_without", "require_program"]


def end_without(names: Sequence[str]) -> None:
    """Skip what needs programs that are not here; in CI, which installs them all, fail. Nothing without names."""
    if names:
        end = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        end(f"There is no {', no '.join(names)}; .ci/run names the packages.")


def require_program(name: str) -> None:
    """The same for one program in the path."""
    end_without([name] if shutil.which(name) is None else [])
