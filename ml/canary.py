"""Whether a version that serves on trial, or has just been made the stable one, may stay."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ml.config import CanarySettings, WatchSettings

__all__ = ["Check", "Verdict", "agreement", "judge_canary", "judge_watch"]


@dataclass(frozen=True)
class Check:
    """One limit, what was measured against it, and whether it is kept.

    Attributes:
        name: what was measured.
        passed: whether the limit is kept.
        measured: in words.
        required: in words.
        value: what was measured, None where it could not be.
    """

    name: str
    passed: bool
    measured: str
    required: str
    value: float | None = None

    def __str__(self) -> str:
        """As a reason names it."""
        return f"{self.name}: {self.measured}, required {self.required}"


@dataclass(frozen=True)
class Verdict:
    """All checks of a version."""

    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether every limit is kept."""
        return all(check.passed for check in self.checks)

    @property
    def reason(self) -> str:
        """The limits that are not kept, or all."""
        missed = [check for check in self.checks if not check.passed]
        return "; ".join(map(str, missed or self.checks))

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "passed": self.passed,
            "reason": self.reason,
            "checks": [asdict(check) for check in self.checks],
        }


def agreement(here: Sequence[str], there: Sequence[str]) -> float | None:
    """Share of images put into the same class by both, of those that both answered; None where there are none.

    Args:
        here: labels, one an image; empty for no answer.
        there: of the other.
    """
    both = [(one, other) for one, other in zip(here, there, strict=True) if one and other]
    return sum(one == other for one, other in both) / len(both) if both else None


def judge_canary(
    limits: CanarySettings,
    error_share: float,
    offline: float | None,
    champion: float | None,
    latencies: tuple[float | None, float | None],
    errors: Sequence[str],
    alone: bool,
) -> Verdict:
    """Hold a canary against its limits.

    Args:
        limits: of the settings.
        error_share: of its answers.
        offline: agreement with its own evaluation; None where nothing was answered.
        champion: agreement with the champion's answers, likewise.
        latencies: p95 of canary and champion in milliseconds; None where nothing was answered.
        errors: texts of its errors.
        alone: no champion serves beside it, so there is nothing to compare with.
    """
    checks = [
        _at_most("errors", error_share, limits.max_error_share, "; ".join(errors)),
        _at_least("agreement with its evaluation", offline, limits.min_offline_agreement),
    ]
    if not alone:
        checks.append(_at_least("agreement with the champion", champion, limits.min_agreement))
        checks += _latency(latencies, limits.max_latency_ratio)
    return Verdict(tuple(checks))


def judge_watch(
    limits: WatchSettings,
    probes: tuple[int, int],
    traffic: tuple[int, int] | None,
    latencies: tuple[float | None, float | None],
    errors: Sequence[str],
) -> Verdict:
    """Hold the new stable version against the limits of its first minutes.

    Args:
        limits: of the settings.
        probes: errors and requests of the watch itself.
        traffic: errors and requests of everybody, by the server's own counters; None where it shows none.
        latencies: p95 in milliseconds of the probes, and of the champion before on such images; None where not known.
        errors: texts of the probes' errors.
    """
    checks = [_few("errors of the watch", *probes, limits.max_error_share, errors)]
    if traffic is not None:
        checks.append(_few("errors of all requests", *traffic, limits.max_error_share))
    return Verdict((*checks, *_latency(latencies, limits.max_latency_ratio)))


def _few(name: str, failed: int, asked: int, limit: float, errors: Sequence[str] = ()) -> Check:
    """At most a share; where some errors are allowed at all, a single one is no reason."""
    allowed = max(limit * asked, 1.0 if limit else 0.0)
    said = "".join(f" ({error})" for error in errors)
    share = failed / asked if asked else 0.0
    return Check(name, failed <= allowed, f"{failed} of {asked:,}{said}", f"at most {limit:.1%}", share)


def _latency(latencies: tuple[float | None, float | None], limit: float | None) -> list[Check]:
    here, there = latencies
    if limit is None or there is None:
        return []
    measured = "no answer" if here is None else f"{here:.1f} ms, {here / there:.2f} times the champion's {there:.1f} ms"
    ratio = None if here is None else here / there
    return [Check("latency (p95)", ratio is not None and ratio <= limit, measured, f"at most {limit:g} times", ratio)]


def _at_most(name: str, value: float, limit: float, detail: str = "") -> Check:
    measured = f"{value:.1%}" + (f" ({detail})" if detail else "")
    return Check(name, value <= limit, measured, f"at most {limit:.1%}", value)


def _at_least(name: str, value: float | None, limit: float) -> Check:
    measured = "no answer" if value is None else f"{value:.1%}"
    return Check(name, value is not None and value >= limit, measured, f"at least {limit:.1%}", value)
