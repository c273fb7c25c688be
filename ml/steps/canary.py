"""Task ``canary``: serve the new version beside the champion, and compare the two on the same images."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from ml import layout
from ml.approval import load_decision
from ml.canary import agreement, judge_canary
from ml.candidates import load_candidate
from ml.errors import ServingError
from ml.golden import load_golden
from ml.promoting import change_of, follow_record, withdraw
from ml.promotions import append_change, load_changes, promotion_of
from ml.request_store import newest_images
from ml.serving_state import CANARY, STABLE, ServingState
from ml.steps.publish import load_publication, require_approval
from ml.storage import dump_json

if TYPE_CHECKING:
    from datetime import datetime

    from ml.canary import Verdict
    from ml.config import CanarySettings, Settings
    from ml.context import Context
    from ml.golden import Golden

__all__ = ["run"]

log = logging.getLogger(__name__)


def run(context: Context, run_id: str, now: datetime) -> dict[str, Any]:
    """Put the run's published winner on trial, where the settings ask for one.

    A canary that does badly is withdrawn. One whose trial could not be held is withdrawn too, and the error raised.

    Returns:
        ``run_id``, ``version``, ``passed``, ``reason``, ``checks`` and ``figures``.

    Raises:
        ServingError: the model server does not answer, or does not load the version in time.
    """
    publication = load_publication(context, run_id)
    version = int(publication["version"])
    found: dict[str, Any] = {"run_id": run_id, "version": version, "checks": [], "figures": {}}
    limits = context.settings.promotion.canary
    changes = load_changes(context.store, context.settings.model_name)
    if promotion_of(changes, run_id, publication["variant"]):
        return found | {"passed": True, "reason": "It was promoted before."}
    if limits is None:
        return found | {"passed": True, "reason": "No trial is configured (`promotion.canary`)."}
    require_approval(context, run_id, load_decision(context.store, run_id))
    serving = changes[-1].serving if changes else ServingState()
    if serving.canary != version:
        change = change_of(changes, publication, "canary", "to be compared with the champion", now)
        append_change(context.store, context.settings.model_name, change)
    follow_record(context)
    try:
        candidate = load_candidate(context.store, run_id, publication["variant"])
        golden = load_golden(context.store, candidate, limits.images)
        recorded = newest_images(context.store, context.settings.model_name, limits.recorded_requests)
        verdict, figures = _compare(context.settings, limits, golden, recorded, version, serving.stable)
    except BaseException as error:  # a task that is stopped, too: nothing unproven goes on serving
        withdraw(context, publication, f"no trial could be held: {type(error).__name__}: {error}")
        raise
    found |= verdict.to_dict() | {"figures": figures}
    context.store.put(layout.run_key(run_id, layout.CANARY), dump_json(found))
    if not verdict.passed:
        withdraw(context, publication, verdict.reason)
    log.info("version %d %s its trial: %s", version, "stood" if verdict.passed else "did not stand", verdict.reason)
    return found


def _compare(
    settings: Settings,
    limits: CanarySettings,
    golden: Golden,
    recorded: tuple[bytes, ...],
    version: int,
    champion: int | None,
) -> tuple[Verdict, dict[str, Any]]:
    from serving.client import GrpcClient
    from serving.trial import ask, wait_for_label

    # Of recorded images nobody knows what evaluation would have said.
    known, images = len(golden.images), (*golden.images, *recorded)
    with GrpcClient.from_settings(settings, retries=0, probe=True) as client:
        seconds = wait_for_label(client, CANARY, version, limits.timeout_seconds)
        # Once unmeasured: the first requests after a load find cold caches.
        ask(client, golden.images[:4], CANARY)
        there = None
        if champion is not None:
            ask(client, golden.images[:4], STABLE)
            there = ask(client, images, STABLE)
        here = ask(client, images, CANARY)
    if here.versions - {version}:
        raise ServingError(
            f"Version {max(here.versions - {version})} answered as canary in the place of version {version}.",
            "Somebody put another version on trial; see `quartet history`.",
        )
    offline = agreement(here.labels[:known], golden.labels)
    together = None if there is None else agreement(here.labels, there.labels)
    latencies = here.p95, None if there is None else there.p95
    verdict = judge_canary(
        limits, here.error_share, offline, together, latencies, [*here.errors.values()], alone=there is None
    )
    figures = {
        "images": known,
        "recorded_requests": len(recorded),
        "seconds_to_serve": seconds,
        "error_share": here.error_share,
        "offline_agreement": offline,
        "agreement": together,
        "p95_ms": here.p95,
        "champion": champion,
        "champion_p95_ms": None if there is None else there.p95,
        "champion_error_share": None if there is None else there.error_share,
    }
    return verdict, figures
