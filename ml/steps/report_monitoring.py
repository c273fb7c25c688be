"""Task ``report`` of the monitor: all findings on one page, and what is to be done about them."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from ml import layout
from ml.monitor_report import MonitorPage, render_monitor_report
from ml.monitor_state import load_state, save_state
from ml.monitoring import Finding, beyond
from ml.report import Figure
from ml.request_drift import drifted
from ml.request_store import prune_requests
from ml.snapshots import latest_snapshot_id
from ml.steps.measure_drift import ANSWERS_FIGURE, INPUTS_FIGURE
from ml.storage import dump_json, read_json
from ml.thumbnails import compact_picture

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ml.context import Context
    from ml.monitor_state import MonitorState

__all__ = ["PARTS", "remember", "run"]

log = logging.getLogger(__name__)

#: What the tasks before have left.
PARTS = ("serving", "traffic", "drift")
REPORT, PAGE = "report.json", "report.html"
CAPTIONS = {
    ANSWERS_FIGURE: ("Answers", "Shares of the predicted classes, and the probabilities of the answers"),
    INPUTS_FIGURE: ("Images", "Measures of the images asked about, beside those of the snapshot"),
}


def run(context: Context, monitor_id: str, now: datetime, *, by_hand: bool = False) -> dict[str, Any]:
    """Write ``report.json`` and the page; nothing is started for a look by hand.

    Returns:
        ``version``, ``beyond`` (the findings beyond their limits), ``alert`` (whether somebody is to be told),
        ``retrain`` (whether `retrain` is to be started), ``retraining`` (why, or why not), ``page``, and the rest of
        what :func:`remember` needs.
    """
    store, name = context.store, context.settings.model_name
    parts = {part: read_json(store, _key(context, monitor_id, f"{part}.json")) for part in PARTS}
    findings = [Finding.from_dict(one) for part in PARTS for one in parts[part]["findings"]]
    over = beyond(findings)
    state = load_state(store, name)
    names = frozenset(_name(finding) for finding in over)
    remind = timedelta(hours=context.settings.monitoring.remind_hours)
    due, retraining = _retraining(context, monitor_id, findings, parts["drift"], state)
    if due and by_hand:
        retraining = "Retraining is due: run `quartet retrain`, or leave it to the DAG."
    page = _key(context, monitor_id, PAGE)
    report = {
        "monitor_id": monitor_id,
        "model_name": name,
        "version": parts["serving"]["version"],
        "at": now.isoformat(),
        "findings": [finding.to_dict() for finding in findings],
        "beyond": [finding.to_dict() for finding in over],
        "unknown": sum(finding.status == "unknown" for finding in findings),
        "alert": state.should_tell(names, now, remind),
        "retrain": due and not by_hand,
        "retraining": retraining,
        "page": store.uri(page),
    }
    store.put(page, render_monitor_report(_page(context, monitor_id, report, findings, parts)).encode())
    store.put(_key(context, monitor_id, REPORT), dump_json(report))
    log.info("%d findings, %d beyond their limits, %d unknown: %s", len(findings), len(over), report["unknown"],
             report["page"])  # fmt: skip
    return report


def remember(context: Context, report: Mapping[str, Any]) -> None:
    """Keep what the next look starts from, after an alert that was due is sent; remove what is too old."""
    store, name = context.store, context.settings.model_name
    traffic = read_json(store, _key(context, report["monitor_id"], "traffic.json"))
    state = load_state(store, name)
    names = {f"{finding['topic']}: {finding['name']}" for finding in report["beyond"]}
    told, told_at = (names, report["at"]) if report["alert"] else (names & set(state.told), state.told_at)
    state = replace(state, at=report["at"], told=tuple(sorted(told)), told_at=told_at if told else None)
    if traffic["counters"] is not None:
        state = replace(state, counters=traffic["counters"], counted_at=traffic["at"])
    if report["retrain"]:
        state = replace(state, retrained={**state.retrained, str(report["version"]): report["monitor_id"]})
    save_state(store, name, state)
    _prune(context, datetime.fromisoformat(report["at"]))


def _retraining(
    context: Context, monitor_id: str, findings: Sequence[Finding], drift: Mapping[str, Any], state: MonitorState
) -> tuple[bool, str]:
    """Whether `retrain` is to be started, and why."""
    if not drifted(findings):
        return False, ""
    version, snapshot_id = drift["version"], drift["snapshot_id"]
    if not context.settings.monitoring.retrain_on_drift:
        return False, "Retraining on drift is switched off (monitoring.retrain_on_drift)."
    # A task that is tried again says what it has said before.
    if state.retrained.get(str(version), monitor_id) != monitor_id:
        return False, f"Retrain was started for version {version} before."
    if latest_snapshot_id(context.store) == snapshot_id:
        # The same settings and images give the same weights.
        return False, (
            f"Retrain is not started: there is no newer snapshot than {snapshot_id}, which version {version} was "
            "trained on. Bring labelled images like those that are asked about."
        )
    return True, f"Retrain is started, once for version {version}."


def _page(
    context: Context,
    monitor_id: str,
    report: Mapping[str, Any],
    findings: Sequence[Finding],
    parts: Mapping[str, Mapping[str, Any]],
) -> MonitorPage:
    drift, traffic, monitoring = parts["drift"], parts["traffic"], context.settings.monitoring
    return MonitorPage(
        model_name=report["model_name"],
        monitor_id=monitor_id,
        created_at=datetime.fromisoformat(report["at"]),
        version=report["version"],
        snapshot_id=drift["snapshot_id"],
        findings=tuple(findings),
        requests=traffic["requests"],
        since=traffic["since"],
        p95_ms=traffic["p95_ms"],
        rows=drift["rows"],
        undecodable=drift["undecodable"],
        window_from=datetime.fromisoformat(drift["from"]).astimezone(UTC),
        shares=drift["shares"],
        log_share=monitoring.log_share,
        keeps_images=monitoring.keep_images,
        false_alarm_share=monitoring.false_alarm_share,
        retraining=report["retraining"],
        figures=tuple(_figures(context, monitor_id, drift["figures"])),
        settings_json=monitoring.model_dump_json(indent=2),
    )


def _figures(context: Context, monitor_id: str, names: Sequence[str]) -> Iterator[Figure]:
    for name in names:
        title, alt = CAPTIONS[name]
        png = context.store.get(_key(context, monitor_id, name))
        yield Figure(title, compact_picture(png, photograph=False), alt, wide=True)


def _prune(context: Context, now: datetime) -> None:
    """Remove requests, and what was found about them, when their time is up."""
    store, name = context.store, context.settings.model_name
    before = now - timedelta(days=context.settings.monitoring.retention_days)
    removed = prune_requests(store, name, before)
    prefix = layout.monitoring_key(name, "")
    for info in list(store.list(prefix)):
        if info.last_modified < before and "/" in info.key.removeprefix(prefix):
            store.delete(info.key)
            removed += 1
    if removed:
        log.info("%d objects about requests before %s are removed", removed, before.isoformat())


def _name(finding: Finding) -> str:
    return f"{finding.topic}: {finding.name}"


def _key(context: Context, monitor_id: str, name: str) -> str:
    return layout.monitoring_key(context.settings.model_name, layout.safe_run_id(monitor_id), name)
