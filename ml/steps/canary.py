"""Task ``canary``: serve the new version beside the champion, and compare the two on the same images."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from ml import layout
from ml.approval import load_decision
from ml.canary import agreement, judge_canary
from ml.candidates import load_candidate
from ml.errors import ConflictError, ServingError
from ml.golden import load_golden
from ml.grounds import require_grounds, require_same_grounds
from ml.promoting import change_of, follow_record, withdraw
from ml.promotions import append_change, load_changes, newest_change, promotion_of
from ml.request_store import newest_images
from ml.serving_state import CANARY, STABLE, ServingState
from ml.steps.publish import load_publication
from ml.storage import dump_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml.canary import Verdict
    from ml.config import CanarySettings, Settings
    from ml.context import Context
    from ml.golden import Golden
    from ml.promotions import Change

__all__ = ["run"]

log = logging.getLogger(__name__)

POLL_SECONDS = 2.0


def run(context: Context, run_id: str, now: datetime) -> dict[str, Any]:
    """Put the run's published winner on trial, where the settings ask for one.

    While another version is on trial this one waits. A canary that does badly is withdrawn. One whose trial could not
    be held is withdrawn too, and the error raised.

    Returns:
        ``run_id``, ``version``, ``passed``, ``reason``, ``checks`` and ``figures``.

    Raises:
        DataError: no approval, or somebody has decided otherwise since the version was published.
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
    grounds = require_grounds(context, run_id, load_decision(context.store, run_id))
    require_same_grounds(publication, grounds)
    serving = _begin(context, publication, timedelta(seconds=limits.wait_seconds), now)
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


def _begin(context: Context, publication: Mapping[str, Any], longest: timedelta, now: datetime) -> ServingState:
    """Put the version on trial when no other one is, and return what serves then.

    There is one label for whatever is on trial: a second one would spoil the first one's figures.
    """
    store, name, version = context.store, context.settings.model_name, publication["version"]
    while True:
        waited = _await_end(context, version, longest)
        changes = load_changes(store, name)
        before = changes[-1].serving if changes else ServingState()
        if before.canary == version:  # of a task that was killed
            return before
        if before.canary is not None and _time_left(changes[-1], longest) > timedelta():
            continue  # another one has begun since
        at = datetime.now(UTC) if waited else now
        change = change_of(changes, publication, "canary", "to be compared with the champion", at)
        try:
            return append_change(store, name, change).serving
        except ConflictError as error:
            log.info("looking again at what is on trial: %s", error.message)


def _await_end(context: Context, version: int, longest: timedelta) -> bool:
    """Wait until no other version is on trial, or its trial began too long ago; whether there was one."""
    waited = False
    while True:
        newest = newest_change(context.store, context.settings.model_name)
        other = newest.serving.canary if newest else None
        if newest is None or other is None or other == version:
            return waited
        # The trial's own record is the newest, unless what is stable was changed beside it.
        left = _time_left(newest, longest)
        if left <= timedelta():
            log.warning("version %d takes the place of version %d, whose trial has not ended", version, other)
            return waited
        log.info("version %d waits: version %d is on trial since %s", version, other, newest.at)
        waited = True
        time.sleep(min(POLL_SECONDS, left.total_seconds()))


def _time_left(trial: Change, longest: timedelta) -> timedelta:
    return trial.when + longest - datetime.now(UTC)


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
