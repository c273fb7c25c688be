"""The ensemble of a run: its members and weights from what the single candidates said of the validation images."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from ml import layout
from ml.candidates import Ensemble, Member, store_ensemble
from ml.ensemble import fit_weights, fold_count, out_of_fold, soft_vote

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from ml.candidates import Candidate
    from ml.context import Context
    from ml.registry import Registry

__all__ = ["form_ensemble"]

log = logging.getLogger(__name__)

Answers = tuple["Candidate", "Mapping[str, np.ndarray]"]


def form_ensemble(
    context: Context, registry: Registry, held_out: pd.DataFrame, answers: Sequence[Answers]
) -> tuple[Ensemble, dict[str, np.ndarray]] | None:
    """Fit the votes' weights to the validation images, and store the ensemble.

    Args:
        context: settings and store.
        registry: where it gets a run of its own.
        held_out: columns group, label and split.
        answers: the candidates that may be members, the better ones first, each with its ``probabilities`` float32
            [N, C] and ``attention`` for the rows of ``held_out``.

    Returns:
        The ensemble, and its answers as the candidates' are; its probabilities of validation images come from weights
        that were fitted without them. None, with the reason in the log, when there is nothing to vote on.
    """
    rows = (held_out["split"] == "validation").to_numpy()
    labels, groups = (held_out[name].to_numpy()[rows] for name in ("label", "group"))
    if len(answers) < 2 or fold_count(labels, groups) < 2:
        log.info("no ensemble: it needs two variants, and two validation images of each class in different groups")
        return None
    probabilities = np.stack([output["probabilities"][rows] for _, output in answers])
    settings = context.settings
    weights = fit_weights(probabilities, labels, settings.candidates.ensemble_size)
    voting = [(float(weights[index]), *answers[index]) for index in np.argsort(-weights, kind="stable")]
    voting = [voter for voter in voting if voter[0] > 0]
    if len(voting) < 2:
        log.info("no ensemble: %s gets all the weight", voting[0][1].name)
        return None
    members = tuple(Member(candidate, weight) for weight, candidate, _ in voting)
    voted = soft_vote([output for _, _, output in voting], [weight for weight, _, _ in voting])
    voted["probabilities"][rows] = out_of_fold(
        probabilities, labels, groups, settings.candidates.ensemble_size, settings.train.seed
    )
    return _store(context, registry, members), voted


def _store(context: Context, registry: Registry, members: tuple[Member, ...]) -> Ensemble:
    first = members[0].candidate
    votes = {f"weight.{member.candidate.name}": member.weight for member in members}
    ensemble = Ensemble(
        run_id=first.run_id,
        snapshot_id=first.snapshot_id,
        classes=first.classes,
        seconds=sum(member.candidate.seconds for member in members),
        mlflow_run_id=registry.start_run(first.run_id, layout.ENSEMBLE, votes),
        voters=members,
    )
    store_ensemble(context.store, ensemble)
    log.info("ensemble of %s", ", ".join(f"{member.candidate.name} {member.weight:.2f}" for member in members))
    return ensemble
