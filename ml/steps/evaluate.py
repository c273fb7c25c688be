"""Task ``evaluate``: measure every candidate, and the champion, on the same frozen test split."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from ml import layout
from ml.candidates import load_candidate
from ml.confounders import find_confounders
from ml.ensembling import form_ensemble
from ml.errors import FingerprintError, NotFoundError
from ml.evaluation import measure, measure_test, predictions, rank
from ml.latency import Latency
from ml.leaderboard import leaderboard_row
from ml.metrics import align_probabilities
from ml.plan import load_plan, load_samples
from ml.prediction import predict
from ml.promotions import find_champion
from ml.published import predict_published
from ml.registry import Registry
from ml.slices import slice_values
from ml.snapshots import Snapshot
from ml.sources import image_sources
from ml.storage import dump_json, read_json
from ml.temperature import load_temperature, soften

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    import pandas as pd

    from ml.candidates import Contender
    from ml.context import Context

__all__ = ["run"]

log = logging.getLogger(__name__)


def run(context: Context, run_id: str) -> dict[str, Any]:
    """Evaluate the run's candidates, the ensemble of them if the settings ask for one, and the champion.

    The winner is chosen by macro F1 on validation images; the test split decides nothing but the gate.

    Returns:
        ``run_id``, ``leaderboard`` (a row a candidate, the winner first), ``chosen``, ``champion`` (a row with its
        ``version`` and ``run_id``, or None) and ``confounders``, as :func:`ml.confounders.find_confounders` gives them.
    """
    plan, samples = load_plan(context.store, run_id), load_samples(context.store, run_id)
    registry = Registry(context.settings)
    held_out = samples[samples["split"] != "train"].reset_index(drop=True)
    training, test = (samples[samples["split"] == split] for split in ("train", "test"))
    attributes = _attributes(context, plan)
    slices = attributes(test)
    rows = _measure_all(context, registry, plan, held_out, slices)
    evaluation = {
        "run_id": run_id,
        "leaderboard": rows,
        "chosen": rows[0]["variant"],
        "champion": _evaluate_champion(context, plan, test, slices),
        "confounders": find_confounders(attributes(training), training["label"].tolist()),
    }
    context.store.put(layout.run_key(run_id, "evaluation.json"), dump_json(evaluation))
    best = rows[0]
    log.info("run %s: %s wins with validation macro F1 %.4f", run_id, best["variant"], best["validation_macro_f1"])
    return evaluation


def _attributes(context: Context, plan: Mapping[str, Any]) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Says what images of the run's snapshot can be told apart by, in their order."""
    snapshot = Snapshot(context.store, plan["snapshot_id"])
    manifest = snapshot.manifest.set_index("image_id", drop=False)
    aliases = context.settings.landing.aliases
    return lambda images: slice_values(manifest.loc[images["image_id"]], snapshot.attributes, aliases)


def _measure_all(
    context: Context, registry: Registry, plan: Mapping[str, Any], held_out: pd.DataFrame, slices: pd.DataFrame
) -> list[dict[str, Any]]:
    settings = context.settings.candidates
    names = list(plan["variants"])
    if plan["ablation"]:
        names += [layout.ablation_name(variant) for variant in plan["variants"]]
    answers: dict[str, tuple[Contender, dict[str, np.ndarray]]] = {}
    rows = []
    for name in names:
        candidate = load_candidate(context.store, plan["run_id"], name)
        output = predict(context, candidate, image_sources(held_out))
        answers[name] = candidate, output
        rows.append(measure(context, registry, candidate, held_out, slices, output))
    ranked = rank(rows, settings.promote_ablation)
    if not settings.ensemble:
        return ranked
    eligible = [answers[row["variant"]] for row in ranked if row["ablation_of"] is None]
    formed = form_ensemble(context, registry, held_out, [(candidate.lead, output) for candidate, output in eligible])
    if formed is None:
        return ranked
    rows.append(measure(context, registry, formed[0], held_out, slices, formed[1]))
    return rank(rows, settings.promote_ablation)


def _evaluate_champion(
    context: Context, plan: Mapping[str, Any], test: pd.DataFrame, slices: pd.DataFrame
) -> dict[str, Any] | None:
    """Measure the champion on today's test images; features of images it never saw are extracted for it."""
    champion = find_champion(context.store, context.settings.model_name)
    if champion is None:
        return None
    contender = load_candidate(context.store, champion.run_id, champion.variant)
    classes = tuple(plan["classes"])
    temperature = load_temperature(context.store, contender)
    try:
        served = soften(predict(context, contender, image_sources(test))["probabilities"], temperature)
    except FingerprintError as error:
        # What it serves is what counts, and its published model needs no cached maps.
        log.warning("the champion is measured through its published model, version %d: %s", champion.version, error)
        served = predict_published(context, champion.version, test["uri"].tolist())
    aligned = align_probabilities(served, contender.classes, classes)
    metrics = {"test": measure_test(context.settings, test, slices, aligned, classes)}
    context.store.put(layout.run_key(plan["run_id"], layout.CHAMPION_PREDICTIONS), predictions(test, aligned, classes))
    row = leaderboard_row(contender, metrics, _latency_then(context, contender), temperature)
    return row | {"version": champion.version, "run_id": champion.run_id}


def _latency_then(context: Context, contender: Contender) -> Latency | None:
    """As it was measured in the champion's own run; None when that run measured none."""
    try:
        return Latency(**read_json(context.store, layout.run_key(contender.run_id, contender.name, "latency.json")))
    except NotFoundError:
        return None
