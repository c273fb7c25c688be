"""Kills a batch of predictions at every step that changes the disk, runs it again, and compares the outcome.

Run as a program, as ``killed_ingest``, whose tools it takes. The model server is a process of its own.
"""

from __future__ import annotations

import io
import json
import shutil
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
from killed_ingest import Reaper, copy_of

from forking import forked
from labelled_servers import labelled_server
from ml.config import Settings
from ml.context import Context
from ml.steps import plan_predictions, predict_shard, publish_predictions
from ml.storage import open_store

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def context_of(folder: Path, port: int) -> Context:
    settings = Settings.model_validate(
        {"model_name": "colours", "store": {"url": str(folder)}, "serving": {"grpc_port": port}}
    )
    return Context(settings, open_store(settings.store))


def run(folder: Path, port: int) -> None:
    context = context_of(folder, port)
    for shard in plan_predictions.run(context, "b", "incoming/", NOW, 4):
        predict_shard.run(context, "b", shard)
    publish_predictions.run(context, "b", NOW)


def counted(folder: Path, port: int, fatal: int | None) -> int:
    reaper = Reaper(fatal)
    run(folder, port)
    return reaper.calls


def state(folder: Path) -> dict[str, object]:
    """What each object of the batch holds, but how long it took."""
    store = context_of(folder, 1).store
    return {info.key: content(info.key, store.get(info.key)) for info in store.list("predictions/")}


def content(key: str, data: bytes) -> object:
    if key.endswith(".json"):
        return json.loads(data) | {"seconds": 0}
    rows = pq.read_table(io.BytesIO(data))
    said = json.loads((rows.schema.metadata or {}).get(b"quartet.part", b"{}"))
    return said | {"seconds": 0}, [{name: str(value) for name, value in row.items()} for row in rows.to_pylist()]


def main() -> None:
    """Arguments: a store with images, a folder to work in, how often to kill, and a server's model config file."""
    base, folder, points, config = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    folder.mkdir()
    with labelled_server("colours", config) as server:
        port = server.grpc_port
        undisturbed = copy_of(base, folder / "undisturbed")
        signal_number, answer = forked(lambda: counted(undisturbed, port, None))
        if signal_number or not answer.isdigit():
            raise SystemExit(f"the undisturbed run {answer or signal_number}")
        calls, expected = int(answer), state(undisturbed)
        different = {}
        fatal_calls = sorted({1 + round(point * (calls - 1) / (points - 1)) for point in range(points)})
        for fatal in fatal_calls:
            copy = copy_of(base, folder / f"killed-{fatal}")
            killed, _ = forked(lambda copy=copy, fatal=fatal: counted(copy, port, fatal))
            _, repeated = forked(lambda copy=copy: run(copy, port))
            found = state(copy)
            if killed != signal.SIGKILL or repeated or found != expected:
                odd = sorted(key for key in expected.keys() | found.keys() if expected.get(key) != found.get(key))
                different[fatal] = {"killed by": killed, "then": repeated, "different": odd[:5]}
            shutil.rmtree(copy)
    outcome = {"calls": calls, "killed": len(fatal_calls), "different": different, "objects": sorted(expected)}
    print(json.dumps(outcome))  # noqa: T201 - the test reads it


if __name__ == "__main__":
    main()
