"""Task ``gate``: decide whether the winner is promoted."""

from __future__ import annotations

import hashlib
import io
import json
import logging
from typing import TYPE_CHECKING, Any

import pandas as pd

from ml import layout
from ml.candidates import load_candidate
from ml.gating import Evidence, decide
from ml.intervals import Comparison, compare
from ml.leaks import seen_in_training
from ml.plan import load_samples
from ml.registry import Registry
from ml.run_identity import Precedent, record_precedent
from ml.run_settings import gate_notice
from ml.run_summaries import write_summary
from ml.storage import dump_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml.candidates import Contender
    from ml.context import Context
    from ml.storage import Store

__all__ = ["run"]

log = logging.getLogger(__name__)


def run(context: Context, run_id: str) -> dict[str, Any]:
    """Apply the gate's rules to the run's winner.

    Returns:
        ``run_id``, ``variant``, ``promoted``, ``reason``, ``rules``, ``gate_notice``: in which of the gate's settings
        the run differs from the configured ones and who asked for it (or None), which the reason says too;
        ``champion``: the version it was compared with (or None), ``comparison`` with it, and ``inputs``: the SHA-256
        of each object that the decision rests on, by key.

    Raises:
        NotFoundError: the run has not been evaluated, or its winner not examined.
    """
    inputs = _Inputs(context.store)
    evaluation = json.loads(inputs.read(layout.run_key(run_id, "evaluation.json")))
    winner = next(row for row in evaluation["leaderboard"] if row["variant"] == evaluation["chosen"])
    contender = load_candidate(context.store, run_id, winner["variant"])
    evidence = _gather(context.store, inputs, contender, winner, evaluation["champion"])
    decision = decide(evidence, context.settings.gate)
    plan = json.loads(inputs.read(layout.run_key(run_id, layout.PLAN)))
    notice = gate_notice(plan)
    document = {
        "run_id": run_id,
        "variant": winner["variant"],
        **decision.to_dict(),
        "reason": f"{decision.reason} {notice or ''}".strip(),
        "gate_notice": notice,
        "champion": evaluation["champion"] and evaluation["champion"]["version"],
        "comparison": _described(evidence.comparison),
        "inputs": inputs.digests,
    }
    data = dump_json(document)
    context.store.put(layout.run_key(run_id, layout.DECISION), data)
    write_summary(context.store, context.settings.model_name, run_id)
    _track(context, contender, document, data)
    _remember(context, plan, document)
    log.info("run %s: %s %s", run_id, winner["variant"], decision.reason)
    return document


def _remember(context: Context, plan: Mapping[str, Any], document: Mapping[str, Any]) -> None:
    """Let later runs find this one; a plan of an earlier version of Quartet has no identity."""
    if "identity" not in plan:
        return
    told = {name: document[name] for name in ("run_id", "variant", "reason", "champion")}
    warm = context.settings.train.warm_start
    record_precedent(context.store, plan["identity"], Precedent(**told, cleared=document["promoted"], warm=warm))


def _track(context: Context, contender: Contender, document: Mapping[str, Any], data: bytes) -> None:
    registry = Registry(context.settings)
    registry.log_files(contender.mlflow_run_id, {layout.DECISION: data})
    verdict = "cleared" if document["promoted"] else "rejected"
    registry.tag_run(contender.mlflow_run_id, {"quartet.gate": verdict, "quartet.gate_reason": document["reason"]})


def _gather(
    store: Store,
    inputs: _Inputs,
    contender: Contender,
    winner: Mapping[str, Any],
    champion: Mapping[str, Any] | None,
) -> Evidence:
    run_id = contender.run_id
    export = json.loads(inputs.read(layout.run_key(run_id, winner["variant"], "examination.json")))["export"]
    samples = load_samples(store, run_id)
    inputs.read(layout.run_key(run_id, "samples.parquet"))
    in_test = samples["split"] == "test"
    leaked = int((seen_in_training(store, contender, samples) & in_test).sum())
    comparison = None
    if champion is not None:
        before = load_candidate(store, champion["run_id"], champion["variant"])
        fresh = samples[in_test & ~seen_in_training(store, before, samples)]
        here = inputs.table(layout.run_key(run_id, winner["variant"], "predictions.parquet"))
        there = inputs.table(layout.run_key(run_id, layout.CHAMPION_PREDICTIONS))
        comparison = _compare(fresh, here, there, len(winner["metrics"]["report"]))
    return Evidence(winner["metrics"], export["latency_ms_p95"], export["size_mb"], leaked, comparison)


def _compare(images: pd.DataFrame, here: pd.DataFrame, there: pd.DataFrame, classes: int) -> Comparison:
    challenger, champion = (
        table.set_index("image_id")["predicted"].loc[images["image_id"]].to_numpy() for table in (here, there)
    )
    return compare(images["label"].to_numpy(), challenger, champion, classes, images["group"].tolist())


def _described(comparison: Comparison | None) -> dict[str, Any] | None:
    """Its numbers, with None for macro F1 of no images."""
    if comparison is None:
        return None
    scores = {"challenger": comparison.challenger, "champion": comparison.champion} if comparison.images else {}
    return {
        "images": comparison.images,
        "groups": comparison.groups,
        "differing": comparison.differing,
        **dict.fromkeys(("challenger", "champion")),
        **scores,
        "difference_interval": comparison.interval,
    }


class _Inputs:
    """Reads what a decision rests on, and keeps the digests."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.digests: dict[str, str] = {}

    def read(self, key: str) -> bytes:
        data = self._store.get(key)
        self.digests[key] = hashlib.sha256(data).hexdigest()
        return data

    def table(self, key: str) -> pd.DataFrame:
        return pd.read_parquet(io.BytesIO(self.read(key)))
