"""Task ``watch``: look after the new stable version for a while, and take it back if it does badly."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from ml import layout
from ml.canary import judge_watch
from ml.candidates import load_candidate
from ml.errors import NotFoundError, ServingError
from ml.golden import load_golden
from ml.promoting import follow_record
from ml.promotions import load_changes
from ml.rollback import roll_back
from ml.serving_state import STABLE
from ml.steps.publish import load_publication
from ml.storage import dump_json, read_json

if TYPE_CHECKING:
    from ml.canary import Verdict
    from ml.config import WatchSettings
    from ml.context import Context
    from ml.golden import Golden
    from serving.client import GrpcClient
    from serving.metrics import ServerMetrics
    from serving.trial import Answers

__all__ = ["run"]

log = logging.getLogger(__name__)

#: Requests below which a share of errors is not judged before the time is over.
FEWEST = 20


class _Seen(NamedTuple):
    """What the watch has seen so far."""

    verdict: Verdict
    probes: int
    traffic: int | None


def run(context: Context, run_id: str) -> dict[str, Any]:
    """Watch the version that the run made the stable one, where the settings ask for it.

    If errors or latency exceed their limits, the version before is made stable again; so it is when the servers do not
    take the new one in time.

    Returns:
        ``run_id``, ``version``, ``kept``, ``reason``, ``checks``, ``rolled_back_to`` and ``figures``.
    """
    publication = load_publication(context, run_id)
    version = int(publication["version"])
    found: dict[str, Any] = {"run_id": run_id, "version": version, "checks": [], "rolled_back_to": None, "figures": {}}
    limits = context.settings.promotion.watch
    if limits is None:
        return found | {"kept": True, "reason": "No watch is configured (`promotion.watch`)."}
    changes = load_changes(context.store, context.settings.model_name)
    stable = changes[-1].serving.stable if changes else None
    if stable != version:
        return found | {"kept": True, "reason": f"There is nothing to watch: version {stable} is the stable one now."}
    try:
        golden = load_golden(
            context.store, load_candidate(context.store, run_id, publication["variant"]), limits.images
        )
        seen = _watch(context, limits, golden, version, _latency_before(context, run_id))
        kept, reason, checks = seen.verdict.passed, seen.verdict.reason, seen.verdict.to_dict()["checks"]
        found |= {"checks": checks, "figures": {"probes": seen.probes, "requests": seen.traffic}}
    except ServingError as error:
        kept, reason = False, str(error)
    found |= {"kept": kept, "reason": reason}
    if not kept:
        back = roll_back(context, None, f"watch over version {version}: {reason}", "watch", datetime.now(UTC), version)
        found["rolled_back_to"] = back.serving.stable if back else None
        follow_record(context)
    context.store.put(layout.run_key(run_id, layout.WATCH), dump_json(found))
    log.info("version %d %s: %s", version, "is kept" if kept else f"is taken back to {found['rolled_back_to']}", reason)
    return found


def _watch(context: Context, limits: WatchSettings, golden: Golden, version: int, before: float | None) -> _Seen:
    """Ask and look until the time is over or a limit is exceeded."""
    from serving.client import GrpcClient
    from serving.metrics import read_metrics
    from serving.trial import wait_for_label

    with GrpcClient.from_settings(context.settings, retries=0, probe=True) as client:
        wait_for_label(client, STABLE, version, limits.timeout_seconds)
        until = time.monotonic() + limits.seconds
        start = read_metrics(context.settings)
        milliseconds: list[float] = []
        errors: dict[str, str] = {}
        asked = failed = 0
        while True:
            answers = _probe(client, golden, errors)
            asked, failed = asked + len(golden.images), failed + int((~answers.answered).sum())
            milliseconds += answers.milliseconds[answers.answered].tolist()
            traffic = _traffic(start, read_metrics(context.settings)) if start is not None else None
            verdict = judge_watch(limits, (failed, asked), traffic, (_p95(milliseconds), before), [*errors.values()])
            over = time.monotonic() >= until
            if over or (not verdict.passed and asked >= FEWEST):
                return _Seen(verdict, asked, traffic[1] if traffic else None)
            time.sleep(min(limits.interval_seconds, max(0.0, until - time.monotonic())))


def _probe(client: GrpcClient, golden: Golden, errors: dict[str, str]) -> Answers:
    from serving.trial import ask

    answers = ask(client, golden.images, STABLE)
    for kind, text in answers.errors.items():
        errors.setdefault(kind, text)
    return answers


def _traffic(start: ServerMetrics, now: ServerMetrics | None) -> tuple[int, int] | None:
    added = now.since(start) if now is not None else None
    return None if added is None else (added.errors, added.total)


def _p95(milliseconds: list[float]) -> float | None:
    import numpy as np

    return float(np.percentile(milliseconds, 95)) if milliseconds else None


def _latency_before(context: Context, run_id: str) -> float | None:
    """The p95 of the champion that was replaced, as the trial measured it; None where there was none."""
    try:
        trial = read_json(context.store, layout.run_key(run_id, layout.CANARY))
    except NotFoundError:
        return None
    found = trial["figures"].get("champion_p95_ms")
    return None if found is None else float(found)
