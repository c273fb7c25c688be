"""The decision whether a winner is promoted: typed rules, each with the numbers it rests on."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml.config import GateSettings

__all__ = ["Decision", "RuleResult", "decide"]


@dataclass(frozen=True)
class RuleResult:
    """One rule's outcome in words and numbers."""

    name: str
    passed: bool
    measured: str
    required: str


@dataclass(frozen=True)
class Decision:
    """Whether the winner is promoted, and why."""

    promoted: bool
    reason: str
    rules: tuple[RuleResult, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {**asdict(self), "rules": [asdict(rule) for rule in self.rules]}


def decide(
    winner: Mapping[str, Any],
    champion: Mapping[str, Any] | None,
    settings: GateSettings,
    latency_ms: float | None = None,
) -> Decision:
    """Apply the configured rules to the winner's metrics on the test split.

    Args:
        winner: metrics as :func:`ml.metrics.classification_metrics` gives them.
        champion: the champion's metrics on the same images, None before the first promotion.
        settings: the rules.
        latency_ms: milliseconds within which the winner answers 95 of 100 single images; None if not measured.
    """
    rules = [
        *_absolute(winner, settings),
        *_latency(latency_ms, settings),
        *_against_champion(winner, champion, settings),
    ]
    if not rules:
        return Decision(False, "No gate rule is configured, so nothing is promoted; set one under `gate`.", ())
    failed = [rule for rule in rules if not rule.passed]
    if failed:
        reason = "; ".join(f"{rule.name}: {rule.measured}, required {rule.required}" for rule in failed)
        return Decision(False, f"Rejected: {reason}.", tuple(rules))
    reason = "; ".join(f"{rule.name}: {rule.measured}, required {rule.required}" for rule in rules)
    return Decision(True, f"Cleared: {reason}.", tuple(rules))


def _absolute(winner: Mapping[str, Any], settings: GateSettings) -> list[RuleResult]:
    rules = []
    if settings.min_macro_f1 is not None:
        measured = float(winner["macro_f1"])
        rules.append(_at_least("macro F1", measured, settings.min_macro_f1))
    if settings.min_class_f1 is not None:
        worst = min(winner["report"], key=lambda row: float(row["f1"]))
        rules.append(_at_least(f"F1 of the weakest class, {worst['label']}", float(worst["f1"]), settings.min_class_f1))
    return rules


def _latency(latency_ms: float | None, settings: GateSettings) -> list[RuleResult]:
    most = settings.max_latency_ms
    if most is None:
        return []
    passed = latency_ms is not None and latency_ms <= most
    measured = "not measured" if latency_ms is None else f"{latency_ms:.1f} ms"
    return [RuleResult("latency of one image, 95th percentile", passed, measured, f"at most {most:g} ms")]


def _against_champion(
    winner: Mapping[str, Any], champion: Mapping[str, Any] | None, settings: GateSettings
) -> list[RuleResult]:
    if champion is None or settings.champion_margin is None:
        return []
    measured, bar = float(winner["macro_f1"]), float(champion["macro_f1"])
    by = f" by {settings.champion_margin:g} or more" if settings.champion_margin else ""
    return [
        RuleResult(
            "better than the champion",
            # Strictly better: a tie keeps the champion.
            measured > bar and measured >= bar + settings.champion_margin,
            f"{measured:.4f}",
            f"above the champion's {bar:.4f}{by}, on the same test images",
        )
    ]


def _at_least(name: str, measured: float, required: float) -> RuleResult:
    return RuleResult(name, measured >= required, f"{measured:.4f}", f"at least {required:g}")
