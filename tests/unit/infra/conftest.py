from __future__ import annotations

import os
import socket
import sys
import time
from typing import TYPE_CHECKING

import pytest

from infra.local.layout import Layout, Ports
from infra.local.processes import Component, stop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout(tmp_path, Ports(*_free_ports(3)))
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
