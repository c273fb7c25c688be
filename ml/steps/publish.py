"""Task ``publish``: export the winner, try it in a fresh model server, and publish it as the next version."""

from __future__ import annotations

import logging
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml import layout
from ml.approval import load_decision
from ml.candidates import load_candidate
from ml.golden import load_golden
from ml.grounds import require_grounds
from ml.model_card import describe_model, render_model_card
from ml.promotions import load_changes, promotion_of
from ml.publication import claim_version, find_published, upload_version
from ml.registry import Registry
from ml.removed_runs import require_not_removed
from ml.storage import dump_json, read_json

if TYPE_CHECKING:
    from ml.approval import Decided
    from ml.candidates import Contender
    from ml.context import Context
    from ml.grounds import Grounds

__all__ = ["load_publication", "run"]

log = logging.getLogger(__name__)

#: Largest difference in probability from the evaluation, which read features rounded to float16 and computed in batches
#: of another size: bfloat16 rounds after every layer, and a deep network carries that along.
TOLERANCE = {"float32": 0.01, "bfloat16": 0.1}


def run(context: Context, run_id: str) -> dict[str, Any]:
    """Publish the run's winner.

    Every file is written before ``SHA256SUMS``, that before the registry's record. What was published before is not
    published again; a try that was killed before the sums is followed by one with the next number. So is a version
    that does not carry the person's decision it is now to be promoted by: what is published never changes.

    Returns:
        ``run_id``, ``variant``, ``snapshot_id``, ``version``, ``uri``, ``order``, the id of the person's decision that
        it carries, and ``validation``, what the fresh server was measured to do.

    Raises:
        DataError: the gate rejected the run, a person rejected it or has yet to approve, or the exported model
            disagrees with the evaluation.
        ServingError: a model server does not load the exported model, or answers otherwise than it.
    """
    decided = load_decision(context.store, run_id)
    grounds = require_grounds(context, run_id, decided)
    store, name = context.store, context.settings.model_name
    candidate = load_candidate(store, run_id, decided.document["variant"])
    registry = Registry(context.settings)
    promoted = promotion_of(load_changes(store, name), run_id, candidate.name)
    carried = grounds.order.dump() if grounds.order else None
    version = promoted.version if promoted else find_published(store, registry, name, candidate, carried)
    if version is None:
        version = _publish(context, registry, candidate, decided, grounds)
    prefix = layout.model_prefix(name, version)
    registry.record_published(version, str(grounds.order or decided.document["reason"]), grounds.tags)
    registry.log_files(candidate.mlflow_run_id, {layout.MODEL_CARD: store.get(f"{prefix}assets.extra/model_card.md")})
    publication = {
        "run_id": run_id,
        "variant": candidate.name,
        "snapshot_id": candidate.snapshot_id,
        "version": version,
        "uri": store.uri(prefix),
        "order": grounds.order.id if grounds.order else None,
        "validation": read_json(store, f"{prefix}assets.extra/{layout.INFRA_VALIDATION}"),
    }
    store.put(layout.run_key(run_id, layout.PUBLICATION), dump_json(publication))
    # After it: `housekeeping` looks for what was just written after it has said that the run goes.
    require_not_removed(store, run_id)
    return publication


def load_publication(context: Context, run_id: str) -> dict[str, Any]:
    """What :func:`run` returned."""
    return dict(read_json(context.store, layout.run_key(run_id, layout.PUBLICATION)))


def _publish(context: Context, registry: Registry, candidate: Contender, decided: Decided, grounds: Grounds) -> int:
    """Export the winner, try it, and write it with what is to be known of it; returns its version."""
    store, name = context.store, context.settings.model_name
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        validation = _export(context, candidate, path)
        version = claim_version(store, registry, name, candidate)
        reason, at = decided.document["reason"], datetime.now(UTC)
        card = describe_model(context, candidate, version, reason, at, grounds.order)
        extras = {
            layout.DECISION: dump_json(decided.document),
            layout.INFRA_VALIDATION: dump_json(validation),
            layout.MODEL_CARD: render_model_card(card).encode(),
            **grounds.documents,
        }
        for file, data in extras.items():
            (path / "assets.extra" / file).write_bytes(data)
        upload_version(store, path, name, version)
    log.info("version %d is published from %s", version, candidate.name)
    return version


def _export(context: Context, candidate: Contender, path: Path) -> dict[str, Any]:
    """Export, and ask a fresh server; returns what was measured."""
    from ml.prediction import export
    from ml.warmup import write_warmup
    from serving.validation import validate_saved_model

    settings = context.settings.promotion.validation
    golden = load_golden(context.store, candidate, settings.images)
    export(context, candidate, path)
    write_warmup(path, context.settings.model_name, golden.images[0])
    # The coarsest member's, whose rounding the vote carries along.
    tolerance = max(TOLERANCE[member.candidate.precision] for member in candidate.members)
    found = validate_saved_model(
        path,
        context.settings.model_name,
        golden.images,
        golden.probabilities,
        tolerance=tolerance,
        command=settings.command,
        timeout_seconds=settings.timeout_seconds,
    )
    return dict(found.to_dict())
