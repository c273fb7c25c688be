"""Drift in what the champion sees: feature maps of new images against those it was trained on.

Only what is cached is looked at. Nothing is extracted, and TensorFlow is not imported.
"""

from __future__ import annotations

import logging
from itertools import islice
from typing import TYPE_CHECKING

from ml.candidates import load_candidate
from ml.drift import mmd_test
from ml.errors import NotFoundError
from ml.features import FeatureReader
from ml.measures import Measure
from ml.promotions import find_champion
from ml.snapshots import Snapshot
from ml.splits import SPLITS

if TYPE_CHECKING:
    from ml.candidates import Candidate
    from ml.config import Settings
    from ml.context import Context

__all__ = ["measure_feature_drift"]

log = logging.getLogger(__name__)


def measure_feature_drift(context: Context, snapshot: Snapshot) -> Measure:
    """Test the mean-pooled features of the images that arrived against those of the champion's snapshot.

    Returns:
        The p-value of :func:`ml.drift.mmd_test`, or no value and the reason.
    """
    manifest, limits = snapshot.manifest, context.settings.validation
    arrived = manifest["image_id"][manifest["snapshot"] == snapshot.snapshot_id]
    if len(arrived) < limits.min_arrived_images:
        return _measure(context.settings, None, f"{len(arrived):,} new images, at least {limits.min_arrived_images}")
    # Before the first training there is no champion to ask for.
    if next(iter(context.store.list("features/")), None) is None:
        return _measure(context.settings, None, "no cached feature maps yet")
    candidate = _champion(context)
    if isinstance(candidate, str):
        return _measure(context.settings, None, candidate)
    return _compare(context, candidate, set(arrived))


def _champion(context: Context) -> Candidate | str:
    """What is in production, or why it cannot be known."""
    champion = find_champion(context.store, context.settings.model_name)
    if champion is None:
        return "no champion yet"
    try:
        # Of an ensemble one member's features are tested: those of the one whose vote weighs most.
        return load_candidate(context.store, champion.run_id, champion.variant).lead
    except NotFoundError as error:
        log.warning("feature drift is not measured: %s", error)
        return f"the files of the champion's run {champion.run_id} are gone"


def _compare(context: Context, candidate: Candidate, arrived: set[str]) -> Measure:
    settings, limits = context.settings, context.settings.validation
    reader = FeatureReader(context.store, candidate.features, settings.store.cache_dir)
    try:
        trained_on = Snapshot(context.store, candidate.snapshot_id).manifest
    except NotFoundError as error:
        log.warning("feature drift is not measured: %s", error)
        return _measure(settings, None, f"the champion's snapshot {candidate.snapshot_id} is gone")
    known = set(trained_on["image_id"][trained_on["split"].isin(SPLITS)]) - arrived
    reference = _choose(reader, known, limits.max_feature_images)
    current = _choose(reader, arrived, limits.max_feature_images)
    if not current:
        return _measure(settings, None, f"no cached feature maps of the {len(arrived):,} new images yet")
    for whose, ids in (("new images", current), ("images the champion was trained on", reference)):
        if len(ids) < limits.min_arrived_images:
            note = f"cached feature maps of {len(ids):,} {whose}, at least {limits.min_arrived_images}"
            return _measure(settings, None, note)
    test = mmd_test(reader.take_pooled(reference), reader.take_pooled(current), settings.split.seed)
    note = (
        f"{candidate.variant}, squared discrepancy {test.statistic:.3g}, {test.current:,} new images against "
        f"{test.reference:,} of snapshot {candidate.snapshot_id}"
    )
    return _measure(settings, test.p_value, note)


def _choose(reader: FeatureReader, image_ids: set[str], count: int) -> list[str]:
    """The first in the order of their digests: as good as random, the same again, and together in few shards."""
    return list(islice((image_id for image_id in sorted(image_ids) if image_id in reader), count))


def _measure(settings: Settings, value: float | None, note: str) -> Measure:
    return Measure(
        name="feature_p_value",
        topic="Drift",
        title="Features, against those the champion was trained on",
        value=value,
        note=note,
        method="p-value of the maximum mean discrepancy",
        low=settings.validation.min_feature_p_value,
    )
