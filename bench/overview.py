"""What the data of the Models page cost with hundreds of runs in history, beside reading one record."""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import boto3

from bench.decided import store_run
from bench.tables import store_snapshot
from ml import layout
from ml.config import Settings
from ml.context import Context
from ml.overview import load_headline, load_overview
from ml.promoting import change_of
from ml.promotions import append_change, find_champion, load_changes
from ml.records import Records
from ml.run_summaries import pack_records
from ml.snapshot_summaries import checked, unchecked, write_snapshot_summary
from ml.snapshots import Snapshot, publish_snapshot
from ml.storage import open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bench.record import Measured

__all__ = ["measure"]

RUNS = 200
#: One run of so many is promoted.
PROMOTED = 4
IMAGES = 2_000
SNAPSHOTS = 50
REPEATS = 15
START_SECONDS = 60
NOW = datetime(2026, 6, 1, tzinfo=UTC)


def measure() -> Measured:
    """Load the data from a folder, and from moto's S3 server in a process of its own, after 200 runs were decided on.

    Cold is a web server that was just started, warm any other time; unpacked is cold without the packs of small
    records. No model server runs, which is found out at once.
    """
    figures: dict[str, float] = {}
    ratios: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder, _s3_server() as endpoint:
        stores = {"folder": {"url": f"{folder}/store"}, "s3": {"url": "s3://bench", "endpoint_url": endpoint}}
        for name, store in stores.items():
            settings = Settings.model_validate({"store": store, "serving": {"grpc_port": 1}})
            context = Context(settings, open_store(settings.store))
            _fill(context)
            found = _measured(context)
            figures |= {f"{name}_{label}_seconds": seconds for label, seconds in found.items()}
            ratios |= {
                f"{name}_one_record_vs_{label}": found["one_record"] / found[label] for label in ("cold", "warm")
            }
    return {
        "question": f"How long do the data of the Models page take with {RUNS} runs in history?",
        "baseline": "reading one record of what serves from the same store",
        "figures": figures,
        "ratios": ratios,
    }


def _measured(context: Context) -> dict[str, float]:
    """Medians, in seconds."""
    name, known = context.settings.model_name, Records()
    key = layout.promotion_key(name, 1)
    found = {
        "one_record": _median(lambda: context.store.get(key)),
        "cold": _median(lambda: load_overview(context, NOW, Records())),
        "warm": _median(lambda: load_overview(context, NOW, known)),
        "headline_warm": _median(lambda: load_headline(context, NOW, known)),
    }
    for info in list(context.store.list(layout.PACKS)):
        context.store.delete(info.key)
    return found | {"unpacked": _median(lambda: load_overview(context, NOW, Records()))}


def _median(work: Callable[[], object]) -> float:
    work()
    seconds = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def _fill(context: Context) -> None:
    """Runs of which every fourth is promoted, and snapshots, of which one is published."""
    store, name = context.store, context.settings.model_name
    snapshot_id = store_snapshot(context, IMAGES)
    publish_snapshot(store, snapshot_id)
    outcome = checked([], has_report=True, has_data_docs=True)
    snapshot = replace(unchecked(Snapshot(store, snapshot_id).record), checked=outcome)
    for number in range(SNAPSHOTS):
        named = replace(snapshot, snapshot_id=f"{number:06d}-0") if number else snapshot
        write_snapshot_summary(store, named)
    for number in range(RUNS):
        run_id = f"scheduled__{NOW - timedelta(days=RUNS - number):%Y-%m-%dT%H:%M:%S+00:00}"
        champion = find_champion(store, name) if number % PROMOTED == 0 else None
        summary = store_run(context, run_id, 5 + number % 30, snapshot_id, champion)
        if number % PROMOTED == 0:
            version = number // PROMOTED + 1
            publication = {"version": version, "run_id": run_id, "variant": summary.variant, "snapshot_id": snapshot_id}
            store.put(layout.model_prefix(name, version) + layout.SUMS, b"")
            change = change_of(load_changes(store, name), publication, "promote", summary.reason, NOW)
            append_change(store, name, change)
    pack_records(store, name)


@contextmanager
def _s3_server() -> Iterator[str]:
    """Moto's server with a bucket; gives its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    os.environ |= {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench", "AWS_CONFIG_FILE": os.devnull}
    endpoint = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _wait_open(port)
            boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1").create_bucket(Bucket="bench")
            yield endpoint
        finally:
            process.kill()


def _wait_open(port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return
