"""Task ``promote``: export the winner, publish it as the next version, and make it the champion."""

from __future__ import annotations

import io
import logging
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ml import layout
from ml.approval import find_approval, load_decision, require_cleared
from ml.candidates import load_candidate
from ml.errors import DataError
from ml.model_card import describe_model, render_model_card
from ml.plan import load_samples
from ml.promotions import load_promotions, newest_promotion, promotion_of, record_promotion
from ml.registry import Registry
from ml.storage import dump_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml.approval import Approval, Decided
    from ml.candidates import Contender
    from ml.context import Context
    from ml.storage import Store

__all__ = ["run"]

log = logging.getLogger(__name__)

#: Images asked of the exported model before it is published.
CHECKED_IMAGES = 8
#: Largest difference in probability from the evaluation, which read features rounded to float16 and computed in batches
#: of another size: bfloat16 rounds after every layer, and a deep network carries that along.
TOLERANCE = {"float32": 0.01, "bfloat16": 0.1}


def run(context: Context, run_id: str) -> dict[str, Any]:
    """Publish the run's winner.

    Every file is written before ``SHA256SUMS``, that before the registry's alias moves: killed anywhere in between,
    a second run ends the same, with the same version number. What was promoted before is not written again, and takes
    nothing back from a version that was promoted since.

    Returns:
        ``run_id``, ``variant``, ``version`` and ``uri``.

    Raises:
        DataError: the gate rejected the run, a person rejected it or has yet to approve, or the exported model
            disagrees with the evaluation.
    """
    decided = load_decision(context.store, run_id)
    approval = _approval(context, run_id, decided)
    store, name, decision = context.store, context.settings.model_name, decided.document
    candidate = load_candidate(store, run_id, decision["variant"])
    registry = Registry(context.settings)
    version = registry.register(candidate, store.uri(layout.run_key(run_id, candidate.name, "")))
    prefix = layout.model_prefix(name, version)
    promotion = {"run_id": run_id, "variant": candidate.name, "version": version, "uri": store.uri(prefix)}
    records = load_promotions(store, name)
    before, newest = promotion_of(records, run_id, candidate.name), newest_promotion(records)
    if before and newest and newest["version"] != version:
        log.info("version %d was promoted before; version %d is newer and stays", version, newest["version"])
        return promotion
    now = datetime.fromisoformat(before["at"]) if before else datetime.now(UTC)
    if not before or store.head(f"{prefix}SHA256SUMS") is None:
        card = _publish(context, candidate, decision, approval, version, now)
        registry.log_files(candidate.mlflow_run_id, {layout.MODEL_CARD: card})
    approved = _approved(approval)
    registry.promote(version, decision["reason"], approved)
    record = promotion | {"snapshot_id": candidate.snapshot_id, "reason": decision["reason"], **approved}
    record_promotion(store, name, record, now)
    return promotion


def _publish(
    context: Context,
    candidate: Contender,
    decision: Mapping[str, Any],
    approval: Approval | None,
    version: int,
    now: datetime,
) -> bytes:
    """Export the winner, and write it with what is to be known of it; returns its model card."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        difference = _export(context, candidate, path)
        card = render_model_card(describe_model(context, candidate, version, decision["reason"], now)).encode()
        extras = {layout.DECISION: dump_json(decision), layout.MODEL_CARD: card}
        if approval is not None:
            extras[layout.APPROVAL] = dump_json(approval.to_dict())
        for name, data in extras.items():
            (path / "assets.extra" / name).write_bytes(data)
        _upload(context.store, path, layout.model_prefix(context.settings.model_name, version))
    log.info("version %d is published from %s, largest difference %.1e", version, candidate.name, difference)
    return card


def _approval(context: Context, run_id: str, decided: Decided) -> Approval | None:
    """The approval that the promotion rests on; None where none is wanted and none was given."""
    require_cleared(run_id, decided)
    approval = find_approval(context.store, run_id, decided)
    if approval is not None and approval.approved:
        return approval
    remedy = f"Answer in Airflow, clear `approve` there to be asked again, or run `quartet approve {run_id} --by NAME`."
    if approval is not None and approval.answer is not None:
        raise DataError(f"Run {run_id} was not approved: {approval}", remedy)
    if context.settings.gate.approval is not None:
        raise DataError(f"Run {run_id} waits for a person's approval (`gate.approval`).", remedy)
    return None


def _approved(approval: Approval | None) -> dict[str, str]:
    if approval is None or approval.answer is None:
        return {}
    given = approval.answer
    found = {"approved_by": given.by, "approved_by_id": given.by_id, "approved_at": given.at}
    return {name: value for name, value in found.items() if value is not None}


def _export(context: Context, candidate: Contender, path: Path) -> float:
    from ml.export import write_warmup
    from ml.prediction import export

    export(context, candidate, path)
    samples = _test_samples(context.store, candidate)
    images = [context.store.get(uri) for uri in samples["uri"]]
    write_warmup(path, context.settings.model_name, images[0])
    return _check_export(path, images, samples, candidate)


def _test_samples(store: Store, candidate: Contender) -> pd.DataFrame:
    """The first test images, with the probabilities that evaluation gave them."""
    key = layout.run_key(candidate.run_id, candidate.name, "predictions.parquet")
    predictions = pd.read_parquet(io.BytesIO(store.get(key)))
    uris = load_samples(store, candidate.run_id)[["image_id", "uri"]]
    return predictions[predictions["split"] == "test"].merge(uris, on="image_id").head(CHECKED_IMAGES)


def _check_export(path: Path, images: list[bytes], samples: pd.DataFrame, candidate: Contender) -> float:
    import tensorflow as tf

    answer = tf.saved_model.load(str(path)).signatures["serving_default"](image_bytes=tf.constant(images))
    evaluated = samples[[f"p_{label}" for label in candidate.classes]].to_numpy(dtype=np.float32)
    difference = float(np.abs(answer["probabilities"].numpy() - evaluated).max())
    # The coarsest member's, whose rounding the vote carries along.
    tolerance, precision = max((TOLERANCE[one], one) for one in {m.candidate.precision for m in candidate.members})
    if difference > tolerance:
        raise DataError(
            f"The exported {candidate.name} differs from its evaluation by {difference:.3f} in probability, "
            f"more than {tolerance} in {precision}.",
            "Set `features.precision: float32` and retrain.",
        )
    return difference


def _upload(store: Store, folder: Path, prefix: str) -> None:
    from ml.export import checksums

    sums = checksums(folder)
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        store.upload(path, prefix + path.relative_to(folder).as_posix())
    store.put(f"{prefix}SHA256SUMS", sums.encode())
