"""Task ``report``: the run's page."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from ml import layout
from ml.approval import find_approval, load_decision
from ml.candidates import weights_notice
from ml.errors import NotFoundError
from ml.label_report import load_labels_view
from ml.plan import load_plan
from ml.promotions import load_changes, promotion_of
from ml.report import (
    CANDIDATE_FIGURES,
    EXAMINATION_FIGURES,
    WIDE_FIGURES,
    AblationView,
    CandidateView,
    ClassRow,
    DecisionView,
    Figure,
    LeaderboardRow,
    MemberView,
    RuleView,
    RunPage,
    render_run_report,
    split_counts,
)
from ml.run_settings import run_notice
from ml.run_views import confounder_views, examination_view, slices_view
from ml.snapshots import Snapshot
from ml.storage import dump_json, read_json
from ml.thumbnails import compact_picture

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from ml.approval import Approval
    from ml.context import Context
    from ml.run_views import ExaminationView
    from ml.storage import Store

__all__ = ["run"]

log = logging.getLogger(__name__)


def run(context: Context, run_id: str, now: datetime) -> dict[str, Any]:
    """Write the run's self-contained HTML page.

    Args:
        context: settings and store.
        run_id: of an evaluated and gated run.
        now: the page's date.
    """
    store, plan = context.store, load_plan(context.store, run_id)
    evaluation = read_json(store, layout.run_key(run_id, "evaluation.json"))
    decision, approval = _decision(store, run_id)
    version, taken_back, stages = _stages(context, run_id, decision["variant"])
    promoted = version is not None and not taken_back
    notices = [one for one in (weights_notice(context.settings), run_notice(plan)) if one]
    champion = evaluation["champion"]
    page = RunPage(
        model_name=context.settings.model_name,
        run_id=run_id,
        created_at=now,
        snapshot_id=plan["snapshot_id"],
        snapshot_summary=split_counts(Snapshot(store, plan["snapshot_id"]).manifest, tuple(plan["classes"])),
        leaderboard=tuple(_row(row, evaluation["chosen"]) for row in evaluation["leaderboard"]),
        decision=DecisionView(
            promoted,
            decision["reason"],
            tuple(_rule(rule) for rule in decision["rules"]),
            version,
            str(approval or ""),
            stages,
        ),
        champion=_row(champion, "") if champion else None,
        candidates=tuple(_candidate(store, run_id, row) for row in evaluation["leaderboard"]),
        ablations=_ablations(evaluation["leaderboard"]),
        examination=_examination(store, run_id, evaluation["chosen"]),
        confounders=confounder_views(evaluation["confounders"]),
        summary=_summary(plan, evaluation),
        notices=(*notices, *_searches(store, run_id, plan["variants"])),
        labels=load_labels_view(store, run_id),
        settings_json=context.settings.model_dump_json(indent=2),
    )
    doubted = [issue.image_id for issue in page.labels.issues] if page.labels else []
    store.put(layout.run_key(run_id, layout.PAGE_IMAGES), dump_json({"doubted": doubted}))
    key = layout.run_key(run_id, "report.html")
    store.put(key, render_run_report(page).encode())
    log.info("run %s: %s", run_id, store.uri(key))
    return {"run_id": run_id, "report": store.uri(key), "promoted": promoted, "version": version}


def _decision(store: Store, run_id: str) -> tuple[dict[str, Any], Approval | None]:
    decided = load_decision(store, run_id)
    return decided.document, find_approval(store, run_id, decided)


def _stages(context: Context, run_id: str, variant: str) -> tuple[int | None, bool, tuple[str, ...]]:
    """The version that the winner was promoted as, whether it was taken back, and its trial and watch in words."""
    promotion = promotion_of(load_changes(context.store, context.settings.model_name), run_id, variant)
    said, taken_back = [], False
    for name, passed, what in ((layout.CANARY, "passed", "trial"), (layout.WATCH, "kept", "watch")):
        try:
            found = read_json(context.store, layout.run_key(run_id, name))
        except NotFoundError:
            continue
        failed = "" if found[passed] else "failed, "
        said.append(f"{what.capitalize()} of version {found['version']}: {failed}{found['reason']}.")
        if found.get("rolled_back_to") is not None:
            taken_back = True
            said.append(f"Version {found['rolled_back_to']} serves again.")
    return promotion.version if promotion else None, taken_back, tuple(said)


def _summary(plan: Mapping[str, Any], evaluation: Mapping[str, Any]) -> str:
    """What was trained on what and how good it is, for those who read no table."""
    winner = next(row for row in evaluation["leaderboard"] if row["variant"] == evaluation["chosen"])
    counts, metrics = plan["images"], winner["metrics"]
    ends = metrics["intervals"]["accuracy"]
    between = f" (on all images of this kind it may be {ends[0]:.1%} to {ends[1]:.1%})" if ends else ""
    count = len(plan["variants"])
    trained = f"{count} classifier{' was' if count == 1 else 's were'} trained on {counts['train']:,} images"
    champion = evaluation["champion"]
    compared = ""
    if champion:
        compared = (
            f" The model in production, version {champion['version']}, gets {champion['accuracy']:.1%} of them right."
        )
    return (
        f"{trained} of {len(plan['classes'])} classes ({', '.join(plan['classes'])}). {winner['variant']} was chosen "
        f"on {counts['validation']:,} others. Of {counts['test']:,} test images that it had never seen it gets "
        f"{metrics['accuracy']:.1%} right{between}.{compared}"
    )


def _searches(store: Store, run_id: str, variants: Sequence[str]) -> Iterator[str]:
    """What searches for hyper-parameters have changed of the run's settings."""
    for variant in variants:
        try:
            search = read_json(store, layout.run_key(run_id, variant, "tuning.json"))
        except NotFoundError:
            continue
        changes = ", ".join(f"{name} {value}" for name, value in search["changes"].items())
        count = len(search["trials"])
        yield f"{variant}: the best of {count} choices of hyper-parameters is {changes or 'as configured'}."


def _rule(rule: Mapping[str, Any]) -> RuleView:
    return RuleView(*(rule[name] for name in ("name", "passed", "measured", "required", "missing")))


def _row(row: Mapping[str, Any], chosen: str) -> LeaderboardRow:
    return LeaderboardRow(
        variant=row["variant"],
        validation_macro_f1=row["validation_macro_f1"],
        accuracy=row["accuracy"],
        macro_f1=row["macro_f1"],
        seconds=row["seconds"],
        chosen=row["variant"] == chosen,
        weights=row["weights"],
        kind=_kind(row),
        latency_ms=None if row["latency_ms_p50"] is None else (row["latency_ms_p50"], row["latency_ms_p95"]),
        macro_f1_interval=row["metrics"]["intervals"]["macro_f1"],
        accuracy_interval=row["metrics"]["intervals"]["accuracy"],
        calibration_error=row["metrics"]["calibration_error"],
        temperature=row["temperature"],
    )


def _kind(row: Mapping[str, Any]) -> str:
    if row["ablation_of"]:
        return "ablation"
    return "ensemble" if len(row["members"]) > 1 else ""


def _ablations(rows: Sequence[Mapping[str, Any]]) -> tuple[AblationView, ...]:
    """Each variant with its own ablation, in the order of the leaderboard."""
    without = {row["ablation_of"]: row["macro_f1"] for row in rows if row["ablation_of"]}
    return tuple(
        AblationView(row["variant"], row["macro_f1"], without[row["variant"]])
        for row in rows
        if row["variant"] in without
    )


def _candidate(store: Store, run_id: str, row: Mapping[str, Any]) -> CandidateView:
    kind = _kind(row)
    return CandidateView(
        row["variant"],
        _class_rows(row["metrics"]),
        tuple(_figures(store, run_id, row["variant"], row["figures"], CANDIDATE_FIGURES)),
        kind,
        tuple(MemberView(**member) for member in row["members"]) if kind == "ensemble" else (),
        slices_view(row["metrics"]["slices"]),
    )


def _examination(store: Store, run_id: str, winner: str) -> ExaminationView:
    document = read_json(store, layout.run_key(run_id, winner, "examination.json"))
    return examination_view(document, _figures(store, run_id, winner, document["figures"], EXAMINATION_FIGURES))


def _figures(
    store: Store, run_id: str, variant: str, kept: Sequence[str], wanted: Sequence[tuple[str, str, str]]
) -> Iterator[Figure]:
    """Those that were drawn; one that was removed since, because it showed a forgotten image, is left out."""
    for name, title, alt in wanted:
        if name not in kept:
            continue
        try:
            png = store.get(layout.run_key(run_id, variant, name))
        except NotFoundError:
            log.warning("run %s: %s has no %s", run_id, variant, name)
            continue
        wide = name in WIDE_FIGURES  # they show photographs
        yield Figure(title, compact_picture(png, photograph=wide), alt, wide)


def _class_rows(metrics: Mapping[str, Any]) -> tuple[ClassRow, ...]:
    lines = zip(metrics["report"], metrics["intervals"]["report"], strict=True)
    return tuple(ClassRow(**line, intervals=intervals) for line, intervals in lines)
