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
from ml.promotions import load_changes, newest_change
from ml.rollback import Request, roll_back
from ml.serving_state import STABLE
from ml.steps.publish import load_publication
from ml.storage import dump_json, read_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ml.canary import Verdict
    from ml.config import WatchSettings
    from ml.context import Context
    from ml.golden import Golden
    from ml.promotions import Change
    from serving.metrics import ServerMetrics

__all__ = ["run"]

log = logging.getLogger(__name__)

#: Failed probes before which the time is not cut short: one hiccup is no reason.
FEWEST_FAILED = 3


class _Seen(NamedTuple):
    """What the watch has seen."""

    verdict: Verdict
    probes: int
    traffic: int | None


def run(context: Context, run_id: str) -> dict[str, Any]:
    """Watch the version that the run made the stable one, where the settings ask for it.

    If errors or latency exceed their limits, the version before is made stable again; so it is when the servers do not
    take the new one in time. Tried again after that, the task tells of it again. Where somebody else has made another
    version stable meanwhile, there is nothing to watch any more.

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
    taken_back = next((one for one in changes if one.evidence.get("request") == _request_id(run_id)), None)
    if taken_back is not None:
        found |= {"kept": False, "reason": taken_back.reason, "rolled_back_to": taken_back.serving.stable}
    elif changes and changes[-1].serving.stable == version:
        found |= _watched(context, limits, publication, version)
    else:
        return found | _nothing_to_watch(changes)
    context.store.put(layout.run_key(run_id, layout.WATCH), dump_json(found))
    outcome = "is kept" if found["kept"] else f"is taken back to {found['rolled_back_to']}"
    log.info("version %d %s: %s", version, outcome, found["reason"])
    return found


def _nothing_to_watch(changes: Sequence[Change]) -> dict[str, Any]:
    stable = changes[-1].serving.stable if changes else None
    return {"kept": True, "reason": f"There is nothing to watch: version {stable} is the stable one now."}


def _request_id(run_id: str) -> str:
    return f"watch of {run_id}"


def _watched(context: Context, limits: WatchSettings, publication: Mapping[str, Any], version: int) -> dict[str, Any]:
    """Watch, and take back what does badly."""
    run_id, name = publication["run_id"], context.settings.model_name
    found: dict[str, Any] = {}
    try:
        golden = load_golden(
            context.store, load_candidate(context.store, run_id, publication["variant"]), limits.images
        )
        seen = _watch(context, limits, golden, version, _latency_before(context, run_id))
        if seen is None:
            return _nothing_to_watch(load_changes(context.store, name))
        kept, reason = seen.verdict.passed, seen.verdict.reason
        found = {
            "checks": seen.verdict.to_dict()["checks"],
            "figures": {"probes": seen.probes, "requests": seen.traffic},
        }
    except ServingError as error:
        kept, reason = False, str(error)
    if kept:
        return found | {"kept": True, "reason": reason}
    request = Request(f"Version {version}: {reason}", "watch", expected=version, id=_request_id(run_id))
    back = roll_back(context, request, datetime.now(UTC))
    follow_record(context)
    if back is None and _newest_stable(context) != version:
        return _nothing_to_watch(load_changes(context.store, name))
    return found | {"kept": False, "reason": reason, "rolled_back_to": back.serving.stable if back else None}


def _newest_stable(context: Context) -> int | None:
    """The stable version by the record as it is now."""
    newest = newest_change(context.store, context.settings.model_name)
    return newest.serving.stable if newest else None


def _watch(context: Context, limits: WatchSettings, golden: Golden, version: int, before: float | None) -> _Seen | None:
    """Ask and look until the time is over or too much fails; None when another version is made stable meanwhile."""
    from serving.client import GrpcClient
    from serving.trial import ask, wait_for_label

    with GrpcClient.from_settings(context.settings, retries=0, probe=True) as client:
        wait_for_label(client, STABLE, version, limits.timeout_seconds)
        until = time.monotonic() + limits.seconds
        start = _counters(context)
        milliseconds: list[float] = []
        errors: dict[str, str] = {}
        asked = failed = 0
        while True:
            answers = ask(client, golden.images, STABLE)
            if _newest_stable(context) != version:
                return None
            errors = answers.errors | errors
            asked, failed = asked + len(golden.images), failed + int((~answers.answered).sum())
            milliseconds += answers.milliseconds[answers.answered].tolist()
            traffic = _traffic(start, _counters(context))
            verdict = judge_watch(limits, (failed, asked), traffic, (_p95(milliseconds), before), [*errors.values()])
            hopeless = failed >= FEWEST_FAILED and not verdict.checks[0].passed
            if hopeless or time.monotonic() >= until:
                return _Seen(verdict, asked, traffic[1] if traffic else None)
            time.sleep(min(limits.interval_seconds, max(0.0, until - time.monotonic())))


def _counters(context: Context) -> ServerMetrics | None:
    """The server's own counters; None where it shows none: that says nothing of a version."""
    from serving.metrics import read_metrics

    try:
        return read_metrics(context.settings)
    except ServingError as error:
        log.warning("the server's counters are not looked at: %s", error)
        return None


def _traffic(start: ServerMetrics | None, now: ServerMetrics | None) -> tuple[int, int] | None:
    """Errors and requests since the start; None where they are not known, or are of another process by now."""
    if start is None or now is None or now.total < start.total:
        return None
    added = now.since(start)
    return added.errors, added.total


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
