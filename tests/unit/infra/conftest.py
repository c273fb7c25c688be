from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

import pytest

from free_ports import free_ports
from infra.local.layout import Layout, Ports
from infra.local.processes import Component, stop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout(tmp_path, Ports(*free_ports(3)))
    layout.make_folders()
    (tmp_path / "quartet.yaml").write_text("model_name: tiny\n")
    return layout


@pytest.fixture
def wait_until() -> Callable[[Callable[[], object]], None]:
    def wait(condition: Callable[[], object], seconds: float = 20) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "the condition was not met in time"
            time.sleep(0.02)

    return wait


@pytest.fixture
def python_component(layout: Layout) -> Iterator[Callable[..., Component]]:
    """Makes components that run a few lines of Python; they are stopped at the end."""
    made = []

    def make(code: str, name: str = "worker", **options) -> Component:
        made.append(name)
        return Component(name, (sys.executable, "-c", code), dict(os.environ), **options)

    yield make
    for name in made:
        stop(layout, name, term_seconds=0)
