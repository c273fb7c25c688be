"""The local model server with its sync, as a process of its own over a store."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import requests

from free_ports import free_ports
from ml.config import load_settings
from ml.promoting import change_of
from ml.promotions import append_change, load_changes
from ml.storage import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ml.config import Settings
    from tiny_classifiers import Published

__all__ = ["append", "local_server", "serving_settings"]

START_SECONDS = 90


def serving_settings(folder: Path, name: str = "m") -> Settings:
    """Settings, kept in ``folder/quartet.yaml``, of a server on free ports and a store in the folder."""
    grpc_port, rest_port = free_ports(2)
    document = {
        "model_name": name,
        "store": {"url": str(folder / "store")},
        "tracking_uri": f"sqlite:///{folder / 'mlflow.db'}",
        "serving": {"model_dir": str(folder / "served"), "grpc_port": grpc_port, "rest_port": rest_port},
    }
    path = folder / "quartet.yaml"
    path.write_text(json.dumps(document))
    return load_settings(path)


@contextmanager
def local_server(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """``python -m serving.local`` with the settings of ``folder``; its log is ``folder/server.log``."""
    with (folder / "server.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "serving.local"],
            env=os.environ | {"QUARTET_CONFIG": str(folder / "quartet.yaml")},
            stdout=log,
            stderr=log,
        )
    try:
        _wait_open(process, load_settings(folder / "quartet.yaml"), folder)
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def append(settings: Settings, published: Published, action: Any, **changes: Any) -> Any:
    """Append to the record what a step would append; returns the record."""
    store = open_store(settings.store)
    before = load_changes(store, settings.model_name)
    change = change_of(before, published.to_dict(), action, "for a test", datetime.now(UTC), **changes)
    return append_change(store, settings.model_name, change)


def _wait_open(process: subprocess.Popen[bytes], settings: Settings, folder: Path) -> None:
    url = f"http://127.0.0.1:{settings.serving.rest_port}/v1/models/{settings.model_name}"
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            requests.get(url, timeout=5)
        except requests.ConnectionError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError((folder / "server.log").read_text(errors="replace")[-3000:])
