"""Kills a withdrawal at every step that changes the disk, runs it again, and tells whether the outcome is the same.

Run as a program, as ``killed_ingest``, whose tools it takes.
"""

from __future__ import annotations

import json
import shutil
import signal
import sys
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
from killed_ingest import Reaper, context_of, copy_of, state

from forking import forked
from ml.features import write_shard
from ml.forget import forget, plan_forgetting
from ml.plan import store_plan
from ml.snapshots import latest_snapshot, latest_snapshot_id
from ml.steps import ingest, publish_snapshot

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def prepare(base: Path, chosen: list[str]) -> None:
    """Publish what lies in the landing zone, cache feature maps, and leave pages and a run that name the images."""
    context = context_of(base)
    store = context.store
    publish_snapshot.run(context, ingest.run(context, NOW)["snapshot_id"])
    names = [*chosen, *(image_id for image_id in latest_snapshot(store).manifest["image_id"] if image_id not in chosen)]
    maps = np.arange(len(names) * 4, dtype=np.float16).reshape(-1, 1, 1, 4)
    for variant in ("narrow", "wide"):
        write_shard(store, f"features/{variant}/01/", names, maps)
    write_shard(store, "features/narrow/01/", [f"{name}+flip" for name in chosen], maps[: len(chosen)])
    store_plan(store, {"run_id": "run"}, pd.DataFrame({"image_id": names, "split": "train"}))
    for name in ("samples.png", "index.html"):
        store.put(f"snapshots/{latest_snapshot_id(store)}/report/{name}", b"a page")


def withdraw(folder: Path, names: list[str]) -> None:
    context = context_of(folder)
    forget(context, plan_forgetting(context, names), "withdrawn", "ann", NOW.replace(day=3), landing=True)


def counted(folder: Path, names: list[str], fatal: int | None) -> int:
    reaper = Reaper(fatal)
    withdraw(folder, names)
    return reaper.calls


def main() -> None:
    """Arguments: a store with a landing zone, a folder to work in, how often to kill, and files to be forgotten."""
    base, folder, points = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    folder.mkdir()
    names = [sha256(Path(name).read_bytes()).hexdigest() for name in sys.argv[4:]]
    before = forked(lambda: prepare(base, names)) and state(base)
    undisturbed = copy_of(base, folder / "undisturbed")
    signal_number, answer = forked(lambda: counted(undisturbed, names, None))
    if signal_number or not answer.isdigit():
        raise SystemExit(f"the undisturbed run {answer or signal_number}")
    calls, expected = int(answer), state(undisturbed)
    different = {}
    fatal_calls = sorted({1 + round(point * (calls - 1) / (points - 1)) for point in range(points)})
    for fatal in fatal_calls:
        copy = copy_of(base, folder / f"killed-{fatal}")
        killed, _ = forked(lambda copy=copy, fatal=fatal: counted(copy, names, fatal))
        _, repeated = forked(lambda copy=copy: withdraw(copy, names))
        found = state(copy)
        if killed != signal.SIGKILL or repeated or found != expected:
            odd = sorted(key for key in expected.keys() | found.keys() if expected.get(key) != found.get(key))
            different[fatal] = {"killed by": killed, "then": repeated, "different": odd[:5]}
        shutil.rmtree(copy)
    gone = sorted(before.keys() - expected.keys())
    changed = sorted(key for key in before.keys() & expected.keys() if before[key] != expected[key])
    outcome = {
        "calls": calls,
        "killed": len(fatal_calls),
        "different": different,
        "gone": gone,
        "changed": changed,
    }
    print(json.dumps(outcome))  # noqa: T201 - the test reads it


if __name__ == "__main__":
    main()
