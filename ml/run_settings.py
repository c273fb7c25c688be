"""What a single run does otherwise than the settings say: choices of a form or a command, laid over them.

The choices are kept in the run's plan, so that every task of the run, whenever it is tried or cleared, sees the same.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import ValidationError

from ml.config import Settings
from ml.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["CHOICES", "Asked", "Difference", "choices_of", "differences", "gate_notice", "lay_over", "run_notice"]

#: What may be chosen for a run, and the settings that it stands for.
CHOICES: dict[str, tuple[str, ...]] = {
    "attention": ("train.attention",),
    # A head that starts warm counts its epochs by a setting of its own.
    "epochs": ("train.epochs", "train.warm_epochs"),
    "learning_rate": ("train.learning_rate",),
    "weights": ("weights.source",),
    "imbalance": ("train.imbalance",),
    "warm_start": ("train.warm_start",),
    "min_macro_f1": ("gate.min_macro_f1",),
    "min_class_f1": ("gate.min_class_f1",),
    "min_class_recall": ("gate.min_class_recall",),
    "champion_margin": ("gate.champion_margin",),
    "champion_risk": ("gate.champion_risk",),
    "approval": ("gate.approval",),
}
#: How forms spell what is no text in the settings.
WORDS = {"attention": {"with": True, "without": False}, "warm_start": {"yes": True, "no": False}}
#: The only choice that `approval` has.
ASK = "ask"
#: A head without attention leaves nothing to compare with.
NO_ABLATION = {"candidates.ablation": False, "candidates.promote_ablation": False}


class Asked(NamedTuple):
    """What somebody asked of a run beside a snapshot and variants.

    Attributes:
        choices: by the names of :data:`CHOICES`, as :func:`choices_of` gives them.
        trials: hyper-parameters to try for each head.
        force: train whether or not anything has changed since an earlier run.
        reason: why; empty where none was given.
        by: who asked, as far as that is known.
    """

    choices: Mapping[str, Any] = {}
    trials: int = 0
    force: bool = False
    reason: str = ""
    by: str = ""


class Difference(NamedTuple):
    """A setting that a run has another value of than is configured; values as JSON has them."""

    setting: str
    configured: Any
    chosen: Any

    def __str__(self) -> str:
        """As pages and reasons tell it."""
        if self.setting == "gate.approval":
            return "a person is asked before a promotion, which the settings do without"
        chosen, configured = (json.dumps(value) for value in (self.chosen, self.configured))
        return f"{self.setting} is {chosen} instead of {configured}"


def choices_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """What was really chosen among a form's values; None means as configured.

    Raises:
        ConfigError: there is no such choice, or its word means nothing.
    """
    chosen = {name: value for name, value in values.items() if value is not None}
    for name, value in chosen.items():
        if name not in CHOICES:
            raise ConfigError(f"'{name}' cannot be chosen for a run.", f"Known: {', '.join(CHOICES)}.")
        words = WORDS.get(name, {})
        if isinstance(value, str) and words:
            if value not in words:
                raise ConfigError(f"{name} = {value!r} means nothing.", f"Known: {', '.join(words)}.")
            chosen[name] = words[value]
    if chosen.get("approval", ASK) != ASK:
        raise ConfigError(
            f"approval = {chosen['approval']!r}: a run may ask a person, never do without one who is configured.",
            f"Known: {ASK}.",
        )
    return chosen


def lay_over(settings: Settings, choices: Mapping[str, Any]) -> Settings:
    """The settings with a run's choices, checked as a settings file is.

    Args:
        settings: as configured.
        choices: as :func:`choices_of` gives them.

    Raises:
        ConfigError: a value is out of range or does not go with the others; the choices are named as forms name them.
    """
    changed: dict[str, dict[str, Any]] = {}
    for path, value in _values(settings, choices).items():
        section, _, key = path.partition(".")
        changed.setdefault(section, dict(getattr(settings, section)))[key] = value
    try:
        return Settings.model_validate(dict(settings) | changed)
    except ValidationError as error:
        lines = dict.fromkeys(_explain(item["loc"], item["input"], item["msg"], choices) for item in error.errors())
        raise ConfigError(
            f"Refused for this run: {'; '.join(lines)}.", "Choose another value, or leave it as configured."
        ) from error


def differences(configured: Settings, effective: Settings) -> list[Difference]:
    """What a run's settings have otherwise than the configured ones, as far as it can be chosen."""
    found = []
    for path in dict.fromkeys([*(path for paths in CHOICES.values() for path in paths), *NO_ABLATION]):
        section, _, key = path.partition(".")
        before, now = (getattr(one, section).model_dump(mode="json")[key] for one in (configured, effective))
        if before != now:
            found.append(Difference(path, before, now))
    return found


def run_notice(plan: Mapping[str, Any]) -> str | None:
    """What a run's page must say of its settings; None where they are the configured ones."""
    return _notice(plan, _recorded(plan))


def gate_notice(plan: Mapping[str, Any]) -> str | None:
    """What whoever reads of a run's decision must know of the gate it went through; None where that is configured."""
    return _notice(plan, [one for one in _recorded(plan) if one.setting.startswith("gate.")])


def _recorded(plan: Mapping[str, Any]) -> list[Difference]:
    """Plans of earlier versions know of none."""
    return [Difference(**one) for one in plan.get("differences", ())]


def _notice(plan: Mapping[str, Any], found: Iterable[Difference]) -> str | None:
    told = "; ".join(map(str, found))
    if not told:
        return None
    reason = f" ({plan['reason']})" if plan["reason"] else ""
    return f"For this run {told}, asked for by {plan['asked_by'] or 'somebody unknown'}{reason}."


def _values(settings: Settings, choices: Mapping[str, Any]) -> dict[str, Any]:
    """By the path of the setting."""
    values = {path: value for name, value in choices.items() for path in CHOICES[name]}
    if "approval" in choices:
        values["gate.approval"] = settings.gate.approval or {}
    return values | (NO_ABLATION if choices.get("attention") is False else {})


def _explain(loc: tuple[int | str, ...], given: Any, message: str, choices: Mapping[str, Any]) -> str:
    path = ".".join(map(str, loc[:2]))
    name = next((name for name in choices if path in CHOICES[name]), None)
    return f"{', '.join(choices)}: {message}" if name is None else f"{name} = {given!r}: {message}"
