"""Kills a sync at every step that changes the server's folder, runs it again, and tells what lies there.

Run as a program, for the reasons that ``killed_ingest.py`` gives. The model server is one that has loaded whatever its
config file names: the real one is asked in ``test_swap_under_load.py``.
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

from forking import forked
from ml.config import Settings
from ml.promotions import Change, append_change
from ml.serving_state import ServingState
from ml.storage import open_store
from serving.served_config import ServerView, parse_config
from serving.sync import Sync, config_file, model_folder

NOW = datetime(2026, 1, 2, tzinfo=UTC)
CALLS = ("fsync", "link", "replace", "unlink", "open", "mkdir", "rename", "rmdir")
FILES = ("saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001")
#: What shall serve, one record after the other.
STATES = (
    ServingState(1),
    ServingState(1, 2),
    ServingState(2, None, 1),
    ServingState(2, 3, 1),
    ServingState(3, None, 2),
    ServingState(2, None, 1),
)


def settings_of(folder: Path) -> Settings:
    return Settings.model_validate(
        {
            "model_name": "m",
            "store": {"url": str(folder / "store")},
            "serving": {"model_dir": str(folder / "served")},
        }
    )


class SyncOfAnObedientServer(Sync):
    """Its server has what the config file named at the last look."""

    def _look(self) -> ServerView:
        told = self._current()
        return ServerView(told.versions & self._mirror.present(), told.labels)


def prepare(folder: Path) -> None:
    settings = settings_of(folder)
    store = open_store(settings.store)
    for version in (1, 2, 3):
        files = {name: f"{name} of {version}".encode() * 1000 for name in FILES}
        for name, data in files.items():
            store.put(f"models/m/{version}/{name}", data)
        sums = "".join(f"{sha256(data).hexdigest()}  {name}\n" for name, data in files.items())
        store.put(f"models/m/{version}/SHA256SUMS", sums.encode())


def follow(folder: Path, looks: int = 5) -> None:
    """Append each record, and look at it some times."""
    settings = settings_of(folder)
    store = open_store(settings.store)
    for number, serving in enumerate(STATES, 1):
        at = (NOW + timedelta(minutes=number)).isoformat()
        version = serving.canary or serving.stable or 0
        action = "canary" if serving.canary else "promote"
        key = f"promotions/m/{number:08d}.json"
        if store.head(key) is None:
            change = Change(number, action, version, serving, "run", "vgg16", "000001", "gate", "why", at)
            append_change(store, "m", change)
        sync = SyncOfAnObedientServer(settings, store)
        for _ in range(looks):
            sync.update(wait=True)
        sync.close()


class Reaper:
    """Counts the calls that change the folder, and ends the process before one of them."""

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


def counted_follow(folder: Path) -> int:
    reaper = Reaper(None)
    follow(folder)
    return reaper.calls


def killed_follow(folder: Path, fatal: int) -> None:
    Reaper(fatal)
    follow(folder)


def problems(folder: Path) -> list[str]:
    """What a model server must never find: half a version under a number, or a config of what is not there."""
    settings, found = settings_of(folder), []
    served = model_folder(settings)
    versions = {int(path.name) for path in served.iterdir() if path.name.isdigit()} if served.exists() else set()
    for version in versions:
        for name in FILES:
            path = served / str(version) / name
            if not path.exists() or path.read_bytes() != f"{name} of {version}".encode() * 1000:
                found.append(f"{path.relative_to(folder)} is not whole")
    path = config_file(settings)
    if path.exists():
        told = parse_config(path.read_text(), path)
        if not told.versions <= versions or not set(told.labels.values()) <= told.versions:
            found.append(f"told {sorted(told.versions)} {dict(told.labels)}, there {sorted(versions)}")
    return found


def final(folder: Path) -> dict[str, object]:
    settings = settings_of(folder)
    names = sorted(path.name for path in model_folder(settings).iterdir())
    return {"names": names, "config": config_file(settings).read_text().replace(str(folder), "")}


def main() -> None:
    """Arguments: a folder to work in, and how often to kill."""
    folder, points = Path(sys.argv[1]), int(sys.argv[2])
    prepare(folder / "base")
    undisturbed = folder / "undisturbed"
    shutil.copytree(folder / "base", undisturbed)
    signal_number, answer = forked(lambda: counted_follow(undisturbed))
    if signal_number or not answer.isdigit():
        raise SystemExit(f"the undisturbed sync {answer or signal_number}")
    calls, expected, different = int(answer), final(undisturbed), {}
    fatal_calls = sorted({1 + round(point * (calls - 1) / (points - 1)) for point in range(points)})
    for fatal in fatal_calls:
        place = folder / f"killed-{fatal}"
        shutil.copytree(folder / "base", place)
        killed, said = forked(lambda place=place, fatal=fatal: killed_follow(place, fatal))
        then = problems(place)
        _, repeated = forked(lambda place=place: follow(place))
        if killed != signal.SIGKILL or then or repeated or problems(place) or final(place) != expected:
            different[fatal] = {
                "killed by": killed,
                "said": said,
                "left": then,
                "then": repeated,
                "final": final(place),
            }
        shutil.rmtree(place)
    print(json.dumps({"calls": calls, "killed": len(fatal_calls), "different": different, "final": expected}))  # noqa: T201 - the test reads it


if __name__ == "__main__":
    main()
