"""The rows of a run's `evaluation.json`: how they are kept, and how pages show them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ml.errors import DataError
from ml.page_parts import LeaderboardRow

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ml.candidates import Contender
    from ml.latency import Latency
    from ml.page_parts import Interval

__all__ = ["candidate_kind", "champion_row", "interval_of", "leaderboard_row", "leaderboard_rows", "row_of"]


def leaderboard_row(
    contender: Contender, metrics: Mapping[str, Mapping[str, Any]], latency: Latency | None, temperature: float
) -> dict[str, Any]:
    """A contender's row: ``validation_macro_f1`` chooses, ``metrics`` and the others are of the test split.

    ``members`` are the heads with their weights, one for a single candidate; ``ablation_of`` is the variant that a
    head without attention belongs to.
    """
    test = metrics["test"]
    return {
        "variant": contender.name,
        "ablation_of": contender.ablation_of,
        "members": [{"variant": member.candidate.name, "weight": member.weight} for member in contender.members],
        "validation_macro_f1": metrics["validation"]["macro_f1"] if "validation" in metrics else None,
        "accuracy": test["accuracy"],
        "macro_f1": test["macro_f1"],
        "seconds": contender.seconds,
        "latency_ms_p50": latency and latency.p50,
        "latency_ms_p95": latency and latency.p95,
        "temperature": temperature,
        "weights": contender.lead.settings["weights"]["source"],
        "metrics": test,
    }


def row_of(evaluation: Mapping[str, Any], variant: str) -> Mapping[str, Any]:
    """What was measured of a candidate.

    Raises:
        DataError: the run has none of that name.
    """
    rows = {row["variant"]: row for row in evaluation["leaderboard"]}
    if variant not in rows:
        raise DataError(f"Run {evaluation['run_id']} has no candidate '{variant}'.", f"It has {', '.join(rows)}.")
    found: Mapping[str, Any] = rows[variant]
    return found


def leaderboard_rows(evaluation: Mapping[str, Any]) -> tuple[LeaderboardRow, ...]:
    """Its candidates, the winner first."""
    return tuple(_row(row, evaluation["chosen"]) for row in evaluation["leaderboard"])


def champion_row(evaluation: Mapping[str, Any]) -> LeaderboardRow | None:
    """The champion of that time on the same test images; None before the first promotion."""
    champion = evaluation["champion"]
    return _row(champion, "") if champion else None


def candidate_kind(row: Mapping[str, Any]) -> str:
    """What is said beside a candidate's name: ``ablation``, ``ensemble`` or nothing."""
    if row["ablation_of"]:
        return "ablation"
    return "ensemble" if len(row["members"]) > 1 else ""


def interval_of(ends: Sequence[float] | None) -> Interval:
    """An interval from JSON, which has no tuples."""
    return None if ends is None else (float(ends[0]), float(ends[1]))


def _row(row: Mapping[str, Any], chosen: str) -> LeaderboardRow:
    return LeaderboardRow(
        variant=row["variant"],
        validation_macro_f1=row["validation_macro_f1"],
        accuracy=row["accuracy"],
        macro_f1=row["macro_f1"],
        seconds=row["seconds"],
        chosen=row["variant"] == chosen,
        weights=row["weights"],
        kind=candidate_kind(row),
        latency_ms=None if row["latency_ms_p50"] is None else (row["latency_ms_p50"], row["latency_ms_p95"]),
        macro_f1_interval=interval_of(row["metrics"]["intervals"]["macro_f1"]),
        accuracy_interval=interval_of(row["metrics"]["intervals"]["accuracy"]),
        calibration_error=row["metrics"]["calibration_error"],
        temperature=row["temperature"],
    )
