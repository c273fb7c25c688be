"""Where in the store a task leaves what it makes: for the last line of its log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ml import layout

if TYPE_CHECKING:
    from collections.abc import Callable

    from plugins.task_log import Telling

__all__ = [
    "batch_file",
    "chunk_file",
    "housekeeping_file",
    "ingest_plan",
    "key",
    "model_version",
    "monitor_file",
    "promotions",
    "run_file",
    "snapshot_file",
]


def key(name: str) -> Callable[[Telling], str]:
    """A key that is the same for every run."""
    return lambda _: name


def run_file(name: str = "") -> Callable[[Telling], str]:
    """Of a run of `retrain`; ``name`` may hold ``{variant}`` or another argument of the task, or ``{result}``."""
    return lambda telling: layout.run_key(telling.arguments["retrain_id"], _filled(name, telling))


def ingest_plan(telling: Telling) -> str:
    """What an ingest has found to do."""
    return layout.ingest_key(telling.arguments["ingest_id"])


def chunk_file(name: str) -> Callable[[Telling], str]:
    """Of a chunk of arrivals."""
    return lambda telling: layout.arrivals_key(telling.arguments["chunk"], name)


def snapshot_file(name: str = "") -> Callable[[Telling], str]:
    """Of the snapshot that the task has made, or was given."""
    return lambda telling: layout.snapshot_key(_snapshot_id(telling), name)


def batch_file(name: str) -> Callable[[Telling], str]:
    """Of a batch of predictions; ``name`` may hold ``{shard}``."""
    return lambda telling: layout.predictions_key(telling.arguments["batch_id"], _filled(name, telling))


def monitor_file(name: str) -> Callable[[Telling], str]:
    """Of a run of `monitor`."""
    return lambda telling: layout.monitoring_key(_model_name(telling), layout.safe_run_id(telling.run_id), name)


def housekeeping_file(name: str) -> Callable[[Telling], str]:
    """Of a run of `housekeeping`."""
    return lambda telling: layout.housekeeping_key(telling.run_id, name)


def model_version(telling: Telling) -> str:
    """The published version whose number the task returned."""
    return layout.model_prefix(_model_name(telling), int(telling.result))


def promotions(telling: Telling) -> str:
    """The record of what serves."""
    return f"{layout.PROMOTIONS}{_model_name(telling)}/"


def _filled(name: str, telling: Telling) -> str:
    return name.format(**telling.arguments, result=telling.result)


def _snapshot_id(telling: Telling) -> str:
    made: Any = telling.result
    if isinstance(made, dict):
        made = made.get("snapshot_id")
    return str(made or telling.arguments["snapshot_id"])


def _model_name(telling: Telling) -> str:
    if telling.opened is None:
        raise RuntimeError("The task has not opened its settings.")
    return telling.opened.settings.model_name
