"""Kills an ingest at every step that changes the disk, runs it again, and tells whether the outcome is the same.

Run as a program: a process that is to be killed is forked from one that has done the imports, which takes
milliseconds, and whose threads would not survive a fork if it had any.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from forking import forked
from ml.config import Settings
from ml.context import Context
from ml.snapshots import latest_snapshot_id
from ml.steps import clear_landing, ingest, publish_snapshot
from ml.storage import open_store

NOW = datetime(2026, 1, 2, tzinfo=UTC)
#: What the folder store changes the disk with.
CALLS = ("fsync", "link", "replace", "unlink", "open", "mkdir", "rename")


def context_of(folder: Path) -> Context:
    settings = Settings.model_validate(
        {
            "store": {"url": str(folder), "cache_dir": folder.parent / "cache"},
            "classes": ["a", "b"],
            "landing": {"chunk_size": 4, "delete_after_ingest": True, "attributes": ["site"]},
        }
    )
    return Context(settings, open_store(settings.store))


def run(folder: Path, now: datetime) -> None:
    context = context_of(folder)
    arrivals = ingest.run(context, now)
    if arrivals["changed"]:
        publish_snapshot.run(context, arrivals["snapshot_id"])
    clear_landing.run(context)


class Reaper:
    """Counts the calls that change the disk, and ends the process before one of them."""

    def __init__(self, fatal: int | None) -> None:
        self.calls = 0
        for name in CALLS:
            setattr(os, name, self._counted(getattr(os, name), fatal))

    def _counted(self, call, fatal):
        def counted(*arguments, **options):
            self.calls += 1
            if self.calls == fatal:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*arguments, **options)

        return counted


def copy_of(source: Path, target: Path) -> Path:
    """With hard links, so that an object's etag is the same in both."""
    shutil.copytree(source, target, copy_function=os.link)
    return target


def state(folder: Path) -> dict[str, str]:
    """Every object, with the digest of its bytes, but what says what an ingest has listed.

    One that is killed while it clears the landing zone finds less there the next time.
    """
    store = context_of(folder).store
    return {
        info.key: sha256(store.get(info.key)).hexdigest()
        for info in store.list("")
        if not info.key.startswith(("arrivals/plans/", "arrivals/seen"))
    }


def counted_run(folder: Path, now: datetime) -> int:
    reaper = Reaper(None)
    run(folder, now)
    return reaper.calls


def killed_run(folder: Path, now: datetime, fatal: int) -> None:
    Reaper(fatal)
    run(folder, now)


def explore(base: Path, now: datetime, points: int, folder: Path) -> dict[str, object]:
    """Kill an ingest that starts from ``base`` at evenly spread calls, and compare what the next run leaves."""
    undisturbed = copy_of(base, folder / "undisturbed")
    signal_number, answer = forked(lambda: counted_run(undisturbed, now))
    if signal_number or not answer.isdigit():
        raise SystemExit(f"the undisturbed run {answer or signal_number}")
    calls, expected = int(answer), state(undisturbed)
    fatal_calls = sorted({1 + round(point * (calls - 1) / (points - 1)) for point in range(points)})
    different = {}
    for fatal in fatal_calls:
        copy = copy_of(base, folder / f"killed-{fatal}")
        killed, answer = forked(lambda copy=copy, fatal=fatal: killed_run(copy, now, fatal))
        _, repeated = forked(lambda copy=copy: run(copy, now))
        found = state(copy)
        if killed != signal.SIGKILL or repeated or found != expected:
            odd = sorted(key for key in expected.keys() | found.keys() if expected.get(key) != found.get(key))
            different[fatal] = {"killed by": killed, "said": answer, "then": repeated, "different": odd[:5]}
        shutil.rmtree(copy)
    snapshot = latest_snapshot_id(context_of(undisturbed).store)
    return {"calls": calls, "killed": len(fatal_calls), "different": different, "snapshot": snapshot}


def main() -> None:
    """Arguments: a store with a landing zone, a folder to work in, and how often to kill in each of two ingests."""
    base, folder, points = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    (folder / "one").mkdir(parents=True)
    first = explore(base, NOW, points, folder / "one")
    more = Path(sys.argv[4])
    grown = folder / "one/undisturbed"
    # Everything that a later ingest may meet: new images, copies, a corrected label, another version of a key.
    shutil.copytree(more, grown / "landing", dirs_exist_ok=True)
    (folder / "two").mkdir()
    second = explore(grown, NOW.replace(day=3), points, folder / "two")
    print(json.dumps({"first": first, "second": second}))  # noqa: T201 - the test reads it


if __name__ == "__main__":
    main()
