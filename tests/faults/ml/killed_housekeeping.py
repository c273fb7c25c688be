"""Kills a housekeeping at every step that changes the disk, runs it again, and tells whether the outcome is the same.

Run as a program, as ``killed_ingest``, whose tools it takes.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

from killed_ingest import Reaper

from forking import forked
from ml import layout
from ml.config import Settings
from ml.context import Context
from ml.exposure import find_exposures
from ml.housekeeping import removal
from ml.steps import clean, plan_housekeeping
from ml.storage import dump_json, open_store
from past_runs import IMAGES, decide, write_run
from promoted import record_promotion

NOW = datetime(2026, 6, 1, tzinfo=UTC)
DAYS = dict.fromkeys(("run_days", "feature_days", "quarantine_days", "arrival_days", "prediction_days"), 30)


class Untracked:
    """In place of MLflow, whose database writes in threads: what is killed here are changes of the store."""

    def __init__(self, settings: Settings) -> None:
        pass

    def aliases(self) -> dict[str, int]:
        return {}

    def __getattr__(self, name: str):
        return lambda *_: None


def context_of(folder: Path) -> Context:
    store = {"url": str(folder), "cache_dir": folder.parent / "cache"}
    settings = Settings.model_validate({"model_name": "m", "store": store, "retention": DAYS | {"keep_runs": 1}})
    return Context(settings, open_store(settings.store))


def prepare(base: Path) -> None:
    """Two runs, of which one serves, an unpromoted version, and something of every other kind; all of it old."""
    store = context_of(base).store
    for name, version in (("serves", 1), ("goes", 2), ("newest", 3)):
        decide(store, write_run(store, name))
        prefix = layout.model_prefix("m", version)
        store.put(f"{prefix}saved_model.pb", b"graph")
        store.put(f"{prefix}assets.extra/{layout.DECISION}", dump_json({"run_id": name}))
        store.put(prefix + layout.SUMS, b"sums")
    record_promotion(store, "m", "serves", "vgg16", version=1)
    for key in ("features/old/01/a.json", "features/old/01/a.npy", "quarantine/empty/aa/object",
                "quarantine/empty/aa/01.json", "arrivals/plans/p.json", "arrivals/c/rows.parquet",
                "predictions/b/batch.json", "predictions/b/plan.json"):  # fmt: skip
        store.put(key, b"{}")
    for info in store.list(""):
        days = 99 if "newest" in info.key else 100
        when = (NOW - timedelta(days=days)).timestamp()
        os.utime(base / info.key, (when, when))


def tidy(folder: Path, fatal: int | None) -> int:
    removal.Registry = Untracked
    from ml.housekeeping import survey

    survey.Registry = Untracked
    context = context_of(folder)
    plan_housekeeping.run(context, "h", NOW)
    reaper = Reaper(fatal)
    clean.run(context, "h", NOW)
    return reaper.calls


def again(folder: Path) -> None:
    tidy_plan = context_of(folder).store.get("housekeeping/h/plan.json")
    removal.Registry = Untracked
    from ml.housekeeping import survey

    survey.Registry = Untracked
    assert tidy_plan
    clean.run(context_of(folder), "h", NOW)


def copy_of(source: Path, target: Path) -> Path:
    shutil.copytree(source, target)
    return target


def state(folder: Path) -> dict[str, str]:
    store = context_of(folder).store
    return {info.key: sha256(store.get(info.key)).hexdigest() for info in store.list("")
            if not info.key.startswith(layout.PACKS) and not info.key.endswith(".html")}  # fmt: skip


def half_visible(folder: Path) -> list[str]:
    """What somebody who looks after the kill would take for whole, and is not."""
    context = context_of(folder)
    found = {info.key for info in context.store.list("")}
    odd = []
    if "models/m/2/SHA256SUMS" in found and "models/m/2/saved_model.pb" not in found:
        odd.append("a version has sums and lacks files")
    if "features/old/01/a.json" in found and "features/old/01/a.npy" not in found:
        odd.append("an index names a shard that is gone")
    if "predictions/b/batch.json" in found and "predictions/b/plan.json" not in found:
        odd.append("a batch is finished and lacks its plan")
    if "quarantine/empty/aa/object" not in found and "quarantine/empty/aa/removed.json" not in found:
        odd.append("bytes are gone and nothing says why")
    if "runs/goes/vgg16/head.weights.h5" not in found and "summaries/removed-runs/goes.json" not in found:
        odd.append("files of a run are gone and nothing says so")
    if any(key.startswith("runs/goes/vgg16/") for key in found) and "runs/goes/samples.parquet" not in found:
        odd.append("`quartet forget` would not find the run")
    if "models/m/1/SHA256SUMS" not in found or "runs/serves/samples.parquet" not in found:
        odd.append("what serves is gone")
    return odd


def main() -> None:
    """Arguments: a folder to work in, and how often to kill."""
    folder, points = Path(sys.argv[1]), int(sys.argv[2])
    base = folder / "base"
    forked(lambda: prepare(base))
    undisturbed = copy_of(base, folder / "undisturbed")
    signal_number, answer = forked(lambda: tidy(undisturbed, None))
    if signal_number or not answer.isdigit():
        raise SystemExit(f"the undisturbed run {answer or signal_number}")
    calls, expected, different = int(answer), state(undisturbed), {}
    for fatal in sorted({1 + round(point * (calls - 1) / (points - 1)) for point in range(points)}):
        copy = copy_of(base, folder / f"killed-{fatal}")
        killed, _ = forked(lambda copy=copy, fatal=fatal: tidy(copy, fatal))
        odd = half_visible(copy)
        _, repeated = forked(lambda copy=copy: again(copy))
        found = state(copy)
        if killed != signal.SIGKILL or repeated or odd or found != expected:
            keys = sorted(key for key in expected.keys() | found.keys() if expected.get(key) != found.get(key))
            different[fatal] = {"killed by": killed, "odd": odd, "then": repeated, "different": keys[:5]}
        shutil.rmtree(copy)
    seen = sorted({one.run_id for _, one in find_exposures_offline(undisturbed)})
    print(json.dumps({"calls": calls, "different": different, "left": sorted(expected), "seen": seen}))  # noqa: T201


def find_exposures_offline(folder: Path) -> list:
    import ml.exposure

    ml.exposure.Registry = type("Registry", (Untracked,), {"versions": lambda _: {}})
    return list(find_exposures(context_of(folder), frozenset(IMAGES["train"])))


if __name__ == "__main__":
    main()
