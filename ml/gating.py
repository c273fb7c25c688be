"""The decision whether a winner is promoted: typed rules, each with the numbers it rests on."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from ml.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ml.config import GateSettings
    from ml.intervals import Comparison

__all__ = [
    "FEWEST_GROUPS",
    "SEEN_IN_TRAINING",
    "Decision",
    "Evidence",
    "RuleResult",
    "check_classes",
    "decide",
]

#: Groups of test images below which challenger and champion are not compared: with fewer, those that are worse by the
#: margin get past the risk more than twice as often as it says (docs/gate.md).
FEWEST_GROUPS = 20
NO_BETTER = "no better than the champion"
#: The rule that nobody can overrule: what has seen its test images has no figures.
SEEN_IN_TRAINING = "test images seen in training"


@dataclass(frozen=True)
class Evidence:
    """What a decision rests on, all of it measured on the test split.

    Attributes:
        metrics: the winner's, as :func:`ml.evaluation.measure_test` gives them.
        latency_ms: milliseconds in which the exported winner answers 95 of 100 single images; None if not measured.
        size_mb: of the exported winner, 10^6 bytes; None if not measured.
        leaked: test images that the winner was fitted to, or whose group it was.
        comparison: with the champion, on the test images that the champion was not fitted to; None before the first
            promotion.
    """

    metrics: Mapping[str, Any]
    latency_ms: float | None = None
    size_mb: float | None = None
    leaked: int = 0
    comparison: Comparison | None = None


@dataclass(frozen=True)
class RuleResult:
    """One rule's outcome in words and numbers.

    Attributes:
        name: what is measured.
        passed: whether it is met.
        measured: in words.
        required: in words.
        missing: the smallest change that would have met it; empty where it is met.
        value: what was measured; None where it could not be.
        bound: that it was held against.
    """

    name: str
    passed: bool
    measured: str
    required: str
    missing: str = ""
    value: float | None = None
    bound: float | None = None

    def __str__(self) -> str:
        """As a reason names it."""
        return f"{self.name}: {self.measured}, required {self.required}{f' ({self.missing})' if self.missing else ''}"


@dataclass(frozen=True)
class Decision:
    """Whether the winner is promoted, and why."""

    promoted: bool
    reason: str
    rules: tuple[RuleResult, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {**asdict(self), "rules": [asdict(rule) for rule in self.rules]}


def decide(evidence: Evidence, settings: GateSettings) -> Decision:
    """Apply the configured rules to the winner. What could not be measured meets no rule.

    Raises:
        ConfigError: ``gate.classes`` names a class that there is not.
    """
    check_classes(settings, [row["label"] for row in evidence.metrics["report"]])
    rules = [
        *_averages(evidence.metrics, settings),
        *_classes(evidence.metrics["report"], settings),
        *_worst_slice(evidence.metrics, settings),
        *_budgets(evidence, settings),
        *_against_champion(evidence.comparison, settings),
    ]
    if not rules:
        return Decision(False, "No gate rule is configured, so nothing is promoted; set one under `gate`.", ())
    rules.append(_unseen(evidence.leaked))
    failed = [rule for rule in rules if not rule.passed]
    verdict, named = ("Rejected", failed) if failed else ("Cleared", rules)
    return Decision(not failed, f"{verdict}: {'; '.join(map(str, named))}.", tuple(rules))


def check_classes(settings: GateSettings, classes: Sequence[str]) -> None:
    """Whether the gate speaks of these classes only: asked before hours of training as well.

    Raises:
        ConfigError: ``gate.classes`` names another one.
    """
    for label in settings.classes:
        if label not in classes:
            raise ConfigError(f"`gate.classes` names '{label}', which is no class.", f"Classes: {', '.join(classes)}.")


def _averages(metrics: Mapping[str, Any], settings: GateSettings) -> Iterator[RuleResult]:
    if settings.min_macro_f1 is not None:
        yield _at_least("macro F1", metrics["macro_f1"], settings.min_macro_f1)
    if settings.max_calibration_error is not None:
        yield _at_most(
            "calibration error", metrics["calibration_error"], settings.max_calibration_error, SHARE, "too high"
        )


def _classes(report: Sequence[Mapping[str, Any]], settings: GateSettings) -> Iterator[RuleResult]:
    if settings.min_class_f1 is not None:
        weakest = _weakest(report, "f1")
        yield _class_f1(f"F1 of the weakest class, {weakest['label']}", weakest, settings.min_class_f1)
    if settings.min_class_recall is not None:
        weakest = _weakest(report, "recall")
        yield _class_recall(f"recall of the weakest class, {weakest['label']}", weakest, settings.min_class_recall)
    rows = {row["label"]: row for row in report}
    for label, floors in settings.classes.items():
        if floors.min_f1 is not None:
            yield _class_f1(f"F1 of {label}", rows[label], floors.min_f1)
        if floors.min_recall is not None:
            yield _class_recall(f"recall of {label}", rows[label], floors.min_recall)


def _weakest(report: Sequence[Mapping[str, Any]], figure: str) -> Mapping[str, Any]:
    """A class of which nothing is known is the weakest: one without test images, or without a figure."""
    return min(report, key=lambda row: (row["support"] > 0, not math.isnan(row[figure]), row[figure]))


def _class_f1(name: str, row: Mapping[str, Any], floor: float) -> RuleResult:
    return _at_least(name, row["f1"], floor) if row["support"] else _without_images(name, floor)


def _class_recall(name: str, row: Mapping[str, Any], floor: float) -> RuleResult:
    if not row["support"]:
        return _without_images(name, floor)
    return _in_images(_at_least(name, row["recall"], floor), row["support"], "to be found")


def _in_images(result: RuleResult, images: int, aim: str) -> RuleResult:
    """A missed floor of a share with what is missing told in images, to the first number of them that meets it."""
    if result.passed or result.value is None or result.bound is None:
        return result
    found, floor = round(result.value * images), result.bound
    needed = next(count for count in range(found, images + 1) if count / images >= floor)
    return replace(result, missing=f"{needed - found} more of its {images} images {aim}")


def _without_images(name: str, floor: float) -> RuleResult:
    return RuleResult(
        name, False, "no test images", f"at least {floor:g}", "images of it in the test split", None, floor
    )


def _worst_slice(metrics: Mapping[str, Any], settings: GateSettings) -> Iterator[RuleResult]:
    floor = settings.min_slice_accuracy
    if floor is None:
        return
    worst = metrics["slices"]["worst"]
    if worst is None:
        least = f"a slice of {metrics['slices']['min_images']} test images or more"
        yield RuleResult(
            "accuracy of the worst slice", False, "every slice is too small", f"at least {floor:g}", least, None, floor
        )
        return
    name = f"accuracy of the worst slice, {worst['attribute']} {worst['value']}"
    yield _in_images(_at_least(name, worst["accuracy"], floor), worst["images"], "to be right")


def _budgets(evidence: Evidence, settings: GateSettings) -> Iterator[RuleResult]:
    if settings.max_latency_ms is not None:
        yield _at_most(
            "latency of one image, 95th percentile",
            _known(evidence.latency_ms),
            settings.max_latency_ms,
            MILLISECONDS,
            "too long",
        )
    if settings.max_size_mb is not None:
        size = _known(evidence.size_mb)
        yield _at_most("size of the exported model", size, settings.max_size_mb, MEGABYTES, "too large")


def _known(value: float | None) -> float:
    return math.nan if value is None else value


def _against_champion(comparison: Comparison | None, settings: GateSettings) -> Iterator[RuleResult]:
    """It must look better, since a tie keeps the champion, and must hardly be worse."""
    margin, risk = settings.champion_margin, settings.champion_risk
    if comparison is None or margin is None:
        return
    name, where = "better than the champion", f"on {comparison.images:,} test images that it was not trained on"
    if not comparison.images:
        yield RuleResult(name, False, "not measured", f"above the champion's, {where}", "such images")
        return
    gap = comparison.champion - comparison.challenger
    yield RuleResult(
        name,
        gap < 0,
        f"{comparison.challenger:.4f}",
        f"above the champion's {comparison.champion:.4f}, {where}",
        _behind(gap),
        comparison.challenger,
        comparison.champion,
    )
    yield _risk(comparison, margin, risk)


def _behind(gap: float) -> str:
    if gap < 0:
        return ""
    return f"more than {SHARE.show(gap)} short" if gap else "a tie keeps the champion"


def _risk(comparison: Comparison, margin: float, risk: float) -> RuleResult:
    name = f"probability that it is {f'worse than the champion by {margin:g} or more' if margin else NO_BETTER}"
    if comparison.groups < FEWEST_GROUPS:
        measured, missing = f"not measured on {comparison.groups} groups of images", f"{FEWEST_GROUPS} groups"
        return RuleResult(name, False, measured, f"at most {risk:g}", missing, None, risk)
    probability = comparison.probability_worse(margin)
    passed = probability <= risk
    missing = "" if passed else f"a margin above {SHARE.up(comparison.margin_above(risk))} would do"
    return RuleResult(name, passed, f"{probability:.3f}", f"at most {risk:g}", missing, probability, risk)


def _unseen(leaked: int) -> RuleResult:
    missing = f"a test split without {'it' if leaked == 1 else 'them'}" if leaked else ""
    return RuleResult(SEEN_IN_TRAINING, not leaked, str(leaked), "none", missing, float(leaked), 0.0)


def _at_least(name: str, value: float, bound: float) -> RuleResult:
    passed, gap = value >= bound, bound - value
    return _result(name, passed, value, f"at least {bound:g}", SHARE, f"{SHARE.up(gap)} short", bound)


def _at_most(name: str, value: float, bound: float, unit: _Unit, excess: str) -> RuleResult:
    passed, gap = value <= bound, value - bound
    return _result(name, passed, value, f"at most {bound:g}{unit.name}", unit, f"{unit.up(gap)} {excess}", bound)


def _result(
    name: str, passed: bool, value: float, required: str, unit: _Unit, missing: str, bound: float
) -> RuleResult:
    if math.isnan(value):
        return RuleResult(name, False, "not measured", required, "a figure", None, bound)
    return RuleResult(name, passed, unit.show(value), required, "" if passed else missing, float(value), bound)


class _Unit(NamedTuple):
    """How figures are written."""

    digits: int
    name: str

    def show(self, value: float) -> str:
        return f"{value:.{self.digits}f}{self.name}"

    def up(self, gap: float) -> str:
        """Never less than what is missing."""
        if math.isnan(gap):
            return self.show(gap)
        scale = 10**self.digits
        return self.show(math.ceil(round(gap * scale, 6)) / scale)  # a difference of two decimals has a tail


SHARE, MILLISECONDS, MEGABYTES = _Unit(4, ""), _Unit(1, " ms"), _Unit(1, " MB")
