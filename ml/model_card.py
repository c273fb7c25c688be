"""The model card that travels with a published model (the headings are Mitchell et al.'s, 2019)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from ml import layout
from ml.candidates import weights_notice
from ml.confounders import STRONG
from ml.plan import load_plan
from ml.report import split_counts
from ml.run_settings import gate_notice
from ml.snapshots import Snapshot
from ml.storage import read_json
from ml.templating import make_environment, plain_markdown
from ml.writing import WRITING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from jinja2 import Environment

    from ml.candidates import Contender
    from ml.config import CardSettings
    from ml.context import Context
    from ml.orders import Order
    from ml.page_parts import SplitCounts

__all__ = ["ModelCard", "describe_model", "render_model_card"]


@dataclass(frozen=True)
class ModelCard:
    """All that the card of a version says.

    Attributes:
        model_name: in the registry.
        version: that it is published as.
        run_id: that trained it.
        snapshot_id: that it was trained and measured on.
        at: when it was promoted.
        architecture: in a sentence.
        size: height and width of its input, pixels.
        classes: labels in the order of its outputs.
        weights: where the backbones' come from.
        temperature: that its probabilities are scaled by.
        images: by split.
        counts: by class and split.
        metrics: of the test images, from :func:`ml.evaluation.measure_test`.
        changes: from :func:`ml.robustness.measure_changes`, or None.
        overlays: from :func:`ml.faithfulness.compare_overlays`, or None.
        export: from :func:`ml.examination.examine_export`.
        confounders: the strong ones of :func:`ml.confounders.find_confounders`.
        reason: the gate's.
        own: what people say of it.
        notices: that stand above all else.
        order: a person's own decision to promote it; None where the gate's word was enough.
    """

    model_name: str
    version: int
    run_id: str
    snapshot_id: str
    at: datetime
    architecture: str
    size: int
    classes: tuple[str, ...]
    weights: str
    temperature: float
    images: Mapping[str, int]
    counts: Sequence[SplitCounts]
    metrics: Mapping[str, Any]
    changes: Mapping[str, Any] | None
    overlays: Mapping[str, Any] | None
    export: Mapping[str, Any]
    confounders: Sequence[Mapping[str, Any]]
    reason: str
    own: CardSettings
    notices: tuple[str, ...] = ()
    order: Order | None = None

    @property
    def slices(self) -> Mapping[str, Any]:
        """Of the test images."""
        return dict(self.metrics["slices"])


def describe_model(
    context: Context, contender: Contender, version: int, reason: str, at: datetime, order: Order | None = None
) -> ModelCard:
    """Gather what the run has found of its winner.

    Args:
        context: settings and store.
        contender: the winner of an examined run.
        version: that it is published as.
        reason: the gate's.
        at: when.
        order: a person's own decision to promote it.
    """
    store, run_id = context.store, contender.run_id
    plan = load_plan(store, run_id)
    evaluation = read_json(store, layout.run_key(run_id, "evaluation.json"))
    examination = read_json(store, layout.run_key(run_id, contender.name, "examination.json"))
    row = next(row for row in evaluation["leaderboard"] if row["variant"] == contender.name)
    trained_with = contender.lead.restore_settings(context.settings)
    notices = [one for one in (weights_notice(trained_with), gate_notice(plan)) if one]
    return ModelCard(
        model_name=context.settings.model_name,
        version=version,
        run_id=run_id,
        snapshot_id=plan["snapshot_id"],
        at=at,
        architecture=_architecture(contender),
        size=trained_with.images.size,
        classes=contender.classes,
        weights=row["weights"],
        temperature=row["temperature"],
        images=plan["images"],
        counts=split_counts(Snapshot(store, plan["snapshot_id"]).manifest, contender.classes),
        metrics=row["metrics"],
        changes=examination["changes"],
        overlays=examination["overlays"],
        export=examination["export"],
        confounders=[found for found in evaluation["confounders"] if found["association"] >= STRONG],
        reason=reason,
        own=context.settings.card,
        notices=tuple(notices),
        order=order,
    )


def render_model_card(card: ModelCard) -> str:
    """The card as Markdown."""
    return _environment().get_template("model_card.md.j2").render(card=card)


@cache
def _environment() -> Environment:
    return make_environment({**WRITING, "between": _between, "plain": plain_markdown, "stated": _stated}, escape=False)


def _between(interval: Sequence[float] | None) -> str:
    return f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else ""


def _stated(text: str | None, setting: str) -> str:
    return text or f"Not stated; set `{setting}`."


def _architecture(contender: Contender) -> str:
    heads = [
        _head(member.candidate.settings["variants"][member.candidate.variant], member.candidate.attention)
        for member in contender.members
    ]
    if len(heads) == 1:
        return heads[0]
    shares = (f"{head} ({member.weight:.0%})" for head, member in zip(heads, contender.members, strict=True))
    return f"the weighted mean of {'; '.join(shares)}"


def _head(variant: Mapping[str, Any], attention: bool) -> str:
    alpha = f" (alpha {variant['alpha']:g})" if variant.get("alpha") else ""
    pooling = "a multi-head-attention head" if attention else "a head without attention"
    return f"frozen {variant['backbone']}{alpha} with {pooling}"
