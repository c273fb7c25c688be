"""What the Models page must say, read from the store's documents and written down here once more.

Nothing of `ml.overview` or of the page is used: a figure that these get wrong is to be noticed.
"""

from __future__ import annotations

import io
import json
from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ml.storage import Store

__all__ = ["StoreFigures"]

ICONS = {"promote": "▲", "rollback": "↩", "canary": "◐", "withdraw": "✕"}


class StoreFigures:
    """Figures of one model, as lines and rows of text."""

    def __init__(self, store: Store, model_name: str) -> None:
        self._store, self._model = store, model_name

    def records(self) -> list[dict[str, Any]]:
        """The record of what serves, the oldest first."""
        return [self.read(key) for key in self._keys(f"promotions/{self._model}/")]

    def champion(self) -> dict[str, str]:
        """Of the tiles and facts in production, by the figure's name on the page."""
        records = self.records()
        serving = records[-1]["serving"]
        made = next(one for one in records if one["version"] == serving["stable"])
        swap = next(one for one in reversed(records) if one["serving"]["stable"] == one["version"] == serving["stable"])
        row = self._winner(made)
        return {
            "champion-version": f"version {serving['stable']}",
            "champion-variant": made["variant"],
            "champion-macro-f1": _score(row["macro_f1"]),
            "champion-accuracy": _score(row["accuracy"]),
            "champion-by": swap["by"],
            "champion-reason": swap["reason"],
            "champion-previous": f"version {serving['previous']}" if serving["previous"] else "none",
        }

    def decided_runs(self) -> list[str]:
        """Folders of the runs that the gate has decided on, the newest decision first."""
        infos = [info for info in self._store.list("runs/") if info.key.endswith("/decision.json")]
        return [info.key.split("/")[1] for info in sorted(infos, key=lambda info: info.last_modified, reverse=True)]

    def leaderboard(self, run: str) -> list[list[str]]:
        """Its rows, and below them that of the champion of that time."""
        evaluation = self.read(f"runs/{run}/evaluation.json")
        rows = [self._line(row, row["variant"] == evaluation["chosen"]) for row in evaluation["leaderboard"]]
        champion = evaluation["champion"]
        return [*rows, self._line(champion, None)] if champion else rows

    def rules(self, run: str) -> list[list[str]]:
        """The gate's rules with their numbers."""
        return [
            [rule["name"], _joined(rule["measured"], rule["missing"]), rule["required"], _verdict(rule["passed"])]
            for rule in self.read(f"runs/{run}/decision.json")["rules"]
        ]

    def changes(self) -> list[list[str]]:
        """The record of what serves as rows, the newest first."""
        return [self._change(record) for record in reversed(self.records())]

    def trained(self) -> list[list[str]]:
        """Runs that were decided on as rows, the newest first, without what became of them."""
        return [self._trained(run) for run in self.decided_runs()]

    def confusion(self) -> list[list[str]]:
        """The champion's: counted from what it answered, image by image."""
        champion = next(one for one in self.records() if one["version"] == self.records()[-1]["serving"]["stable"])
        folder = f"runs/{_safe(champion['run_id'])}"
        classes = self.read(f"{folder}/plan.json")["classes"]
        table = pd.read_parquet(io.BytesIO(self._store.get(f"{folder}/{champion['variant']}/predictions.parquet")))
        answers = Counter(zip(*(table[table["split"] == "test"][name] for name in ("label", "predicted")), strict=True))
        rows = [[answers[row, column] for column in range(len(classes))] for row in range(len(classes))]
        return [[name, *map(str, row), str(sum(row))] for name, row in zip(classes, rows, strict=True)]

    def figures(self) -> dict[str, bytes]:
        """The champion's pictures by their file names, but the confusion matrix, which the page has as a table."""
        champion = next(one for one in self.records() if one["version"] == self.records()[-1]["serving"]["stable"])
        prefix = f"runs/{_safe(champion['run_id'])}/{champion['variant']}/"
        keys = [key for key in self._keys(prefix) if key.endswith(".png") and not key.endswith("/confusion.png")]
        return {key.removeprefix(prefix): self._store.get(key) for key in keys}

    def snapshots(self) -> list[list[str]]:
        """Id, date, images, new ones, and the count of each class; the newest first."""
        keys = [key for key in self._keys("snapshots/") if key.endswith("/snapshot.json")]
        return [self._snapshot(key) for key in sorted(keys, reverse=True)]

    def quarantine(self) -> dict[str, int]:
        """Refused objects by reason: those that have their bytes there, under each key that they came by."""
        keys = [key.split("/") for key in self._keys("quarantine/")]
        return dict(Counter(reason for _, reason, _, name in keys if name.endswith(".json")))

    def read(self, key: str) -> Any:
        """A document."""
        return json.loads(self._store.get(key))

    def _keys(self, prefix: str) -> list[str]:
        return [info.key for info in self._store.list(prefix)]

    def _winner(self, change: Mapping[str, Any]) -> Mapping[str, Any]:
        board = self.read(f"runs/{_safe(change['run_id'])}/evaluation.json")["leaderboard"]
        found: Mapping[str, Any] = next(row for row in board if row["variant"] == change["variant"])
        return found

    def _line(self, row: Mapping[str, Any], chosen: bool | None) -> list[str]:
        """A candidate; the champion of that time where ``chosen`` is None."""
        tag = f" in production, version {row['version']}" if chosen is None else " chosen" if chosen else ""
        metrics = row["metrics"]
        return [
            row["variant"] + tag,
            _meter(row["validation_macro_f1"], None),
            _meter(metrics["macro_f1"], metrics["intervals"]["macro_f1"]),
            _meter(metrics["accuracy"], metrics["intervals"]["accuracy"]),
            _score(metrics["calibration_error"]),
            f"{_milliseconds(row['latency_ms_p50'])} 95 %: {_milliseconds(row['latency_ms_p95'])}",
            f"{row['seconds']:.1f} s",
            row["weights"],
        ]

    def _change(self, record: Mapping[str, Any]) -> list[str]:
        row = self._winner(record)
        return [
            str(record["number"]),
            _utc(record["at"]),
            f"{ICONS[record['action']]} {record['action']}",
            f"version {record['version']} {record['variant']}",
            _meter(row["macro_f1"], row["metrics"]["intervals"]["macro_f1"]),
            f"{record['by']}: {record['reason']}",
            record["run_id"],
        ]

    def _trained(self, run: str) -> list[str]:
        decision = self.read(f"runs/{run}/decision.json")
        decided = self._store.head(f"runs/{run}/decision.json")
        assert decided is not None
        row = self._winner(decision)
        return [
            _utc(decided.last_modified.isoformat()),
            decision["run_id"],
            f"{decision['variant']} random weights",
            _meter(row["macro_f1"], row["metrics"]["intervals"]["macro_f1"]),
        ]

    def _snapshot(self, key: str) -> list[str]:
        document = self.read(key)
        manifest = pd.read_parquet(io.BytesIO(self._store.get(key.replace("snapshot.json", "manifest.parquet"))))
        counts = sorted(Counter(manifest["label"]).items())
        classes = ", ".join(f"{label} {count}" for label, count in counts)
        made = _utc(document["created_at"])
        return [document["snapshot_id"], made, str(document["images"]), str(document["added"]), classes]


def _safe(run_id: str) -> str:
    """A run's folder: Airflow's ids carry colons and plus signs, here between other characters only."""
    return run_id.replace(":", "-").replace("+", "-")


def _score(value: float) -> str:
    return f"{value:.3f}"


def _meter(value: float | None, interval: Sequence[float] | None) -> str:
    if value is None:
        return "not measured"
    return _joined(_score(value), f"{_score(interval[0])} to {_score(interval[1])}" if interval else "")


def _milliseconds(value: float) -> str:
    return f"{value:.0f} ms" if value >= 100 else f"{value:.1f} ms"


def _verdict(passed: bool) -> str:
    return "✓ passed" if passed else "✗ failed"


def _utc(text: str) -> str:
    return datetime.fromisoformat(text).strftime("%Y-%m-%d %H:%M UTC")


def _joined(*parts: str) -> str:
    return " ".join(filter(None, parts))
