"""Kills a promotion at every step that changes store or registry, runs it again, and tells what it leaves.

Run as a program, for the reasons that ``killed_ingest.py`` gives. The export itself, which changes nothing but a
temporary folder and needs a whole trained run, is replaced by files that lie ready, and so is what the model server
answers to trial and watch: the second version stands its trial and does badly afterwards. Everything else is real.

The gate clears the first run. It rejects the second one, which a person promotes against it.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import warnings
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from mlflow.tracking import MlflowClient

from forking import forked
from ml import layout
from ml.canary import Check, Verdict
from ml.config import Settings
from ml.context import Context
from ml.orders import PromotionRequest
from ml.promotions import champion_of, load_changes
from ml.registry import Registry
from ml.steps import canary, order, promote, publish, watch
from ml.steps.watch import _Seen
from ml.storage import open_store, read_json
from past_runs import MISSED, decide, write_run

NOW = datetime(2026, 1, 2, tzinfo=UTC)
#: What the folder store changes the disk with, and what the registry is changed with.
CALLS = ("fsync", "link", "replace", "unlink", "open", "mkdir", "rename")
REGISTRY_CALLS = (
    "create_registered_model",
    "create_model_version",
    "set_model_version_tag",
    "update_model_version",
    "set_registered_model_alias",
    "delete_registered_model_alias",
    "log_artifact",
)
FILES = {"saved_model.pb": b"graph", "variables/variables.index": b"index", "assets.extra/labels.txt": b"a\nb\n"}


def context_of(folder: Path) -> Context:
    settings = Settings.model_validate(
        {
            "model_name": "m",
            "store": {"url": str(folder / "store"), "cache_dir": folder / "cache"},
            "tracking_uri": f"sqlite:///{folder / 'mlflow.db'}",
            "artifact_uri": str(folder / "artifacts"),
            "promotion": {"canary": {}, "watch": {}},
        }
    )
    return Context(settings, open_store(settings.store))


def prepare(folder: Path) -> None:
    """Two runs, the second one compared with the first."""
    folder.mkdir(parents=True)
    context = context_of(folder)
    registry = Registry(context.settings)
    for run_id in ("one", "two"):
        write_run(context.store, run_id, mlflow_run_id=registry.start_run(run_id, "vgg16", {}))
    decide(context.store, "one")
    decide(context.store, "two", MISSED, champion=1)


def export(_context: Context, candidate, path: Path) -> dict[str, object]:
    for name, data in FILES.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    # No two exports are of the same bytes.
    (path / "fingerprint.pb").write_bytes(os.urandom(16))
    return {"candidate": candidate.name}


def judged(_context: object, *_: object) -> _Seen:
    return _Seen(Verdict((Check("errors of the watch", False, "9 of 10", "at most 1.0%"),)), 10, None)


def run(folder: Path, run_id: str, watched: bool = True) -> None:
    context = context_of(folder)
    publish._export, publish.describe_model = export, lambda *_: None
    publish.render_model_card = lambda _: "# card"
    canary.load_golden = watch.load_golden = lambda *_: None
    canary._compare = lambda *_: (Verdict(()), {"champion_p95_ms": None})
    watch._watch = judged
    if watched and run_id == "two":
        order.run(context, PromotionRequest("two", "it has to be", "Ann", "a request", against_the_gate=True), NOW)
    publish.run(context, run_id)
    if not canary.run(context, run_id, NOW)["passed"]:
        raise AssertionError("the trial was not stood")
    promote.run(context, run_id, NOW)
    if watched:
        found = watch.run(context, run_id)
        # Nothing is before the first one, and what was taken back is told of again.
        if found["kept"] or found["rolled_back_to"] != {"one": None, "two": 1}[run_id]:
            raise AssertionError(found)


class Reaper:
    """Counts the calls that change something, and ends the process before or after one of them."""

    def __init__(self, fatal: int | None) -> None:
        self.calls, self._fatal = 0, fatal
        for name in CALLS:
            setattr(os, name, self._counted(getattr(os, name)))
        for name in REGISTRY_CALLS:
            setattr(MlflowClient, name, self._counted(getattr(MlflowClient, name), after=True))

    def _counted(self, call, after: bool = False):
        def counted(*arguments, **options):
            self._count()
            answer = call(*arguments, **options)
            if after:
                self._count()
            return answer

        return counted

    def _count(self) -> None:
        self.calls += 1
        if self.calls == self._fatal:
            os.kill(os.getpid(), signal.SIGKILL)


def counted_run(folder: Path, run_id: str) -> int:
    # What MLflow changes when it is opened is its own.
    Registry(context_of(folder).settings)
    reaper = Reaper(None)
    run(folder, run_id)
    return reaper.calls


def killed_run(folder: Path, run_id: str, fatal: int) -> None:
    Registry(context_of(folder).settings)
    Reaper(fatal)
    run(folder, run_id)


def whole_versions(folder: Path) -> dict[int, bool]:
    """Versions with sums, and whether every file is as these say."""
    store = context_of(folder).store
    found = {}
    for info in store.list("models/m/"):
        if info.key.endswith("SHA256SUMS"):
            prefix = info.key.removesuffix("SHA256SUMS")
            lines = [line.split("  ") for line in store.get(info.key).decode().splitlines()]
            found[int(prefix.split("/")[2])] = all(
                sha256(store.get(prefix + path)).hexdigest() == digest for digest, path in lines
            )
    return found


def left(folder: Path) -> str:
    """What the last run left, as far as it must hold; and problems, which must be none."""
    context = context_of(folder)
    changes, whole, registry = load_changes(context.store, "m"), whole_versions(folder), Registry(context.settings)
    stable = changes[-1].serving.stable
    claimed = [int(one.version) for one in registry._model_versions()]
    problems = []
    if registry.champion() != stable:
        problems.append(f"alias {registry.champion()}, record {stable}")
    if not all(whole.values()) or not {change.version for change in changes} <= set(whole):
        problems.append(f"versions {whole}, record {[change.version for change in changes]}")
    if len(claimed) != len(set(claimed)):
        problems.append(f"numbers {claimed}")
    promoted = [change.run_id for change in changes if change.action == "promote"]
    if len(promoted) != len(set(promoted)):
        problems.append(f"promoted {promoted}")
    ordered = [change for change in changes if change.by == "Ann"]
    carried = [f"models/m/{change.version}/assets.extra/order.json" for change in ordered]
    if not all(context.store.head(key) for key in carried):
        problems.append(f"{carried} are not all there")
    champion = champion_of(changes)
    publication = read_json(context.store, layout.run_key(champion.run_id, layout.PUBLICATION))
    if publication["version"] != stable:
        problems.append(f"published {publication['version']}")
    if changes[-1].serving.canary is not None:
        problems.append(f"version {changes[-1].serving.canary} is still on trial")
    back = sum(change.action == "rollback" for change in changes)
    return json.dumps(
        {
            "promoted": promoted,
            "stable of": champion.run_id,
            "ordered": len(ordered),
            "rollbacks": back,
            "problems": problems,
        }
    )


def explore(base: Path, run_id: str, points: int, folder: Path) -> dict[str, object]:
    """Kill a promotion at evenly spread calls, run it again, and look at what is there."""
    undisturbed = folder / "undisturbed"
    copy(base, undisturbed)
    signal_number, answer = forked(lambda: counted_run(undisturbed, run_id))
    if signal_number or not answer.isdigit():
        raise SystemExit(f"the undisturbed run {answer or signal_number}")
    _, expected = forked(lambda: left(undisturbed))
    calls, different = int(answer), {}
    # MLflow makes a folder more or less from time to time, so the last calls may not come.
    fatal_calls = sorted({1 + round(point * (calls - 5) / (points - 1)) for point in range(points)})
    for fatal in fatal_calls:
        place = folder / f"killed-{fatal}"
        copy(base, place)
        killed, said = forked(lambda place=place, fatal=fatal: killed_run(place, run_id, fatal))
        _, found = forked(lambda place=place: run(place, run_id) or left(place))
        if killed != signal.SIGKILL or found != expected:
            different[fatal] = {"killed by": killed, "said": said, "left": found}
        shutil.rmtree(place)
    return {"calls": calls, "killed": len(fatal_calls), "different": different, "left": json.loads(expected)}


def copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target)


def at_once(base: Path, folder: Path) -> dict[str, object]:
    """Both runs promoted by two processes at once, each as often as it takes to end; one of them must not win."""
    copy(base, folder)
    context = context_of(folder)
    # Both were compared with the same champion.
    decide(context.store, "two")
    children = []
    for run_id in ("one", "two"):
        child = os.fork()
        if child == 0:
            try:
                run(folder, run_id, watched=False)
            except Exception as error:  # noqa: BLE001 - the loser's, kept for the parent
                (folder / f"{run_id}.error").write_text(f"{type(error).__name__}: {error}")
            os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    _, found = forked(lambda: left(folder))
    errors = [path.read_text() for path in folder.glob("*.error")]
    _, versions = forked(lambda: json.dumps(sorted(whole_versions(folder))))
    return {"left": json.loads(found), "errors": errors, "versions": json.loads(versions)}


def main() -> None:
    """Arguments: a folder to work in, and how often to kill in each of two promotions."""
    folder, points = Path(sys.argv[1]), [int(number) for number in sys.argv[2:]]
    base = folder / "base"
    _, said = forked(lambda: prepare(base))
    if said:
        raise SystemExit(f"preparing {said}")
    first = explore(base, "one", points[0], folder / "one")
    second = explore(folder / "one/undisturbed", "two", points[1], folder / "two")
    print(json.dumps({"first": first, "second": second, "at once": at_once(base, folder / "both")}))  # noqa: T201 - the test reads it


if __name__ == "__main__":
    main()
