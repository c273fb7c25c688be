"""Task ``examine``: look closely at the run's winner: as it would be served, on changed images, and at its overlays."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from ml import layout
from ml.candidates import load_candidate
from ml.examination import examine_changes, examine_export, examine_overlays
from ml.examples import sample_images
from ml.plan import load_samples
from ml.plots.examination import changes_chart, faithfulness_chart
from ml.plots.style import png_bytes
from ml.registry import Registry
from ml.storage import dump_json, read_json

if TYPE_CHECKING:
    import pandas as pd

    from ml.candidates import Contender
    from ml.context import Context

__all__ = ["run"]

log = logging.getLogger(__name__)


def run(context: Context, run_id: str) -> dict[str, Any]:
    """Examine the winner of an evaluated run.

    Returns:
        ``run_id``; ``variant``; ``export``, what :func:`ml.examination.examine_export` gives; ``changes`` and
        ``overlays``, likewise, each None where the settings ask for none; ``figures``, names of pictures in the
        winner's folder.
    """
    settings, store = context.settings.evaluation, context.store
    winner = read_json(store, layout.run_key(run_id, "evaluation.json"))["chosen"]
    contender, samples = load_candidate(store, run_id, winner), load_samples(store, run_id)
    test = samples[samples["split"] == "test"]
    changes = overlays = None
    if settings.changed_images:
        changes = examine_changes(context, contender, _some(test, contender, settings.changed_images))
    if settings.faithfulness_images and contender.lead.attention:
        overlays = examine_overlays(context, contender, _some(test, contender, settings.faithfulness_images))
    export = examine_export(context, contender, _some(test, contender, 1)["uri"].iloc[0])
    pictures = {}
    if changes:
        pictures["changes.png"] = png_bytes(changes_chart(changes))
    if overlays:
        pictures["faithfulness.png"] = png_bytes(faithfulness_chart(overlays))
    for name, data in pictures.items():
        store.put(layout.run_key(run_id, winner, name), data)
    document = {
        "run_id": run_id,
        "variant": winner,
        "export": export,
        "changes": changes,
        "overlays": overlays,
        "figures": list(pictures),
    }
    store.put(layout.run_key(run_id, winner, "examination.json"), dump_json(document))
    _track(Registry(context.settings), contender, document, pictures)
    log.info(
        "run %s: %s takes %.1f MB and %.1f ms (95 of 100) on %s",
        run_id,
        winner,
        export["size_mb"],
        export["latency_ms_p95"],
        export["machine"],
    )
    return document


def _some(test: pd.DataFrame, contender: Contender, count: int) -> pd.DataFrame:
    """As many of each class, the same ones again as long as they are there."""
    each = -(-count // len(contender.classes))
    return sample_images(test, each).reset_index(drop=True)


def _track(registry: Registry, contender: Contender, document: dict[str, Any], pictures: dict[str, bytes]) -> None:
    export, changes, overlays = document["export"], document["changes"], document["overlays"]
    figures = {f"exported_{name}": export[name] for name in ("size_mb", "latency_ms_p50", "latency_ms_p95")}
    for row in changes["changes"] if changes else ():
        figures[f"changed_{row['name']}_macro_f1"] = row["macro_f1"]
        figures[f"changed_{row['name']}_unmoved"] = row["unmoved"]
    for name, row in overlays["overlays"].items() if overlays else ():
        figures[f"faithfulness_{name}"] = row["score"]
    registry.log_metrics(contender.mlflow_run_id, figures)
    registry.log_files(contender.mlflow_run_id, {**pictures, "examination.json": dump_json(document)})
