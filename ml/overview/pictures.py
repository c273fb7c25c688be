"""The champion's pictures and its confusion matrix, from the run that made it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ml import layout
from ml.leaderboard import interval_of, row_of
from ml.overview.reading import attempt, join_problems
from ml.overview.views import ConfusionView, FigureFile, PicturesView
from ml.page_parts import CANDIDATE_FIGURES, EXAMINATION_FIGURES, WIDE_FIGURES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml.context import Context
    from ml.promotions import Champion
    from ml.records import Records

__all__ = ["pictures_view"]


def pictures_view(context: Context, records: Records, champion: Champion | None) -> PicturesView:
    """Which pictures there are, and which are gone; none where there is no champion."""
    if champion is None:
        return PicturesView()
    run_id, variant = champion.run_id, champion.variant
    key = layout.run_key(run_id, "evaluation.json")
    row = attempt(f"The evaluation of run {run_id}", lambda: row_of(records.get(context.store, key), variant))
    there = attempt(f"The pictures of run {run_id}", lambda: _names(context, champion))
    confusion = attempt("The confusion matrix", lambda: row.value and _confusion(row.value["metrics"]))
    drawn = attempt("Which pictures were drawn", lambda: frozenset(row.value["figures"] if row.value else ()))
    names = there.value or frozenset()
    gone = (drawn.value or frozenset()) - names if not there.problem else frozenset()
    return PicturesView(
        run_id=run_id,
        variant=variant,
        figures=tuple(
            FigureFile(layout.run_key(run_id, variant, name), title, alt, name in WIDE_FIGURES)
            for name, title, alt in (*CANDIDATE_FIGURES, *EXAMINATION_FIGURES)
            if name in names
        ),
        removed=tuple(title for name, title, _ in CANDIDATE_FIGURES if name in gone),
        confusion=confusion.value,
        problem=join_problems([row.problem, there.problem, confusion.problem, drawn.problem]),
    )


def _names(context: Context, champion: Champion) -> frozenset[str]:
    """Names of the files in the candidate's folder."""
    prefix = layout.run_key(champion.run_id, champion.variant, "")
    return frozenset(info.key.removeprefix(prefix) for info in context.store.list(prefix))


def _confusion(metrics: Mapping[str, Any]) -> ConfusionView:
    return ConfusionView(
        classes=tuple(row["label"] for row in metrics["report"]),
        counts=tuple(tuple(row) for row in metrics["confusion"]),
        intervals=tuple(tuple(map(interval_of, row)) for row in metrics["intervals"]["confusion"]),
    )
