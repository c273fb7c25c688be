"""Task ``report``: the run's page."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from ml import layout
from ml.candidates import weights_notice
from ml.errors import NotFoundError
from ml.label_report import load_labels_view
from ml.leaderboard import candidate_kind, champion_row, leaderboard_rows, row_of
from ml.page_parts import CANDIDATE_FIGURES, EXAMINATION_FIGURES, WIDE_FIGURES
from ml.plan import load_plan
from ml.promotions import load_changes, promotion_of
from ml.report import (
    AblationView,
    CandidateView,
    ClassRow,
    DecisionView,
    Figure,
    MemberView,
    RunPage,
    render_run_report,
    split_counts,
)
from ml.run_outcome import load_outcome
from ml.run_settings import run_notice
from ml.run_summaries import pack_records, write_summary
from ml.run_views import confounder_views, examination_view, slices_view
from ml.snapshots import Snapshot
from ml.storage import dump_json, read_json
from ml.thumbnails import compact_picture

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from ml.context import Context
    from ml.run_views import ExaminationView
    from ml.storage import Store

__all__ = ["run"]

log = logging.getLogger(__name__)


def run(context: Context, run_id: str, now: datetime) -> dict[str, Any]:
    """Write the run's self-contained HTML page, and what the Models page shows of the run.

    Args:
        context: settings and store.
        run_id: of an evaluated and gated run.
        now: the page's date.
    """
    store, plan = context.store, load_plan(context.store, run_id)
    evaluation = read_json(store, layout.run_key(run_id, "evaluation.json"))
    outcome = load_outcome(store, run_id)
    promotion = promotion_of(load_changes(store, context.settings.model_name), run_id, outcome.variant)
    version = promotion.version if promotion else None
    promoted = version is not None and not outcome.taken_back
    notices = [one for one in (weights_notice(context.settings), run_notice(plan)) if one]
    page = RunPage(
        model_name=context.settings.model_name,
        run_id=run_id,
        created_at=now,
        snapshot_id=plan["snapshot_id"],
        snapshot_summary=split_counts(Snapshot(store, plan["snapshot_id"]).manifest, tuple(plan["classes"])),
        leaderboard=leaderboard_rows(evaluation),
        decision=DecisionView(
            promoted,
            outcome.decided.document["reason"],
            outcome.rules,
            version,
            str(outcome.approval or ""),
            outcome.stages,
            str(outcome.order or ""),
            outcome.order is not None and outcome.order.against_the_gate,
        ),
        champion=champion_row(evaluation),
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
    write_summary(store, context.settings.model_name, run_id)
    pack_records(store, context.settings.model_name)
    log.info("run %s: %s", run_id, store.uri(key))
    return {"run_id": run_id, "report": store.uri(key), "promoted": promoted, "version": version}


def _summary(plan: Mapping[str, Any], evaluation: Mapping[str, Any]) -> str:
    """What was trained on what and how good it is, for those who read no table."""
    winner = row_of(evaluation, evaluation["chosen"])
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


def _ablations(rows: Sequence[Mapping[str, Any]]) -> tuple[AblationView, ...]:
    """Each variant with its own ablation, in the order of the leaderboard."""
    without = {row["ablation_of"]: row["macro_f1"] for row in rows if row["ablation_of"]}
    return tuple(
        AblationView(row["variant"], row["macro_f1"], without[row["variant"]])
        for row in rows
        if row["variant"] in without
    )


def _candidate(store: Store, run_id: str, row: Mapping[str, Any]) -> CandidateView:
    kind = candidate_kind(row)
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
