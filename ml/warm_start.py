"""Where a training starts from: random weights, or the head that the champion's run has of the same variant."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml.candidates import load_candidate, load_head
from ml.errors import DataError, NotFoundError
from ml.plan import was_fitted_to
from ml.promotions import find_champion
from ml.tombstones import forgotten_ids

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np

    from ml.candidates import Candidate
    from ml.config import TrainSettings
    from ml.context import Context
    from ml.storage import Store

__all__ = ["Start", "Wanted", "choose_start", "trained_in"]

log = logging.getLogger(__name__)

HEAD_SIZES = ("heads", "key_dim", "units")


@dataclass(frozen=True)
class Wanted:
    """What is to be trained: run, variant, classes in order, and the feature maps' fingerprint and shape."""

    run_id: str
    variant: str
    classes: tuple[str, ...]
    fingerprint: str
    feature_shape: tuple[int, int, int]


@dataclass(frozen=True)
class Start:
    """What a training starts from.

    Attributes:
        weights: of a trained head; None for random ones.
        candidate: ``<run id>/<variant>`` of that head.
        cold_because: why it is none, where one was asked for.
    """

    weights: Sequence[np.ndarray] | None = None
    candidate: str | None = None
    cold_because: str | None = None


def trained_in(store: Store, candidate: Candidate) -> Iterator[str]:
    """The runs in which a head's weights were fitted: its own, that of the head it started from, and so on."""
    found: Candidate | None = candidate
    while found is not None:
        yield found.run_id
        before = found.started_from and found.started_from.rpartition("/")
        found = load_candidate(store, before[0], before[2]).lead if before else None


def choose_start(context: Context, wanted: Wanted) -> Start:
    """Find the head to start from, or why there is none.

    Args:
        context: settings, whose ``train.warm_start`` asks for it, and store.
        wanted: what the head must fit.
    """
    if not context.settings.train.warm_start:
        return Start()
    start = _warm(context, wanted)
    log.info("%s: starts from %s", wanted.variant, start.candidate or f"random weights: {start.cold_because}")
    return start


def _warm(context: Context, wanted: Wanted) -> Start:
    champion = find_champion(context.store, context.settings.model_name)
    if champion is None:
        return Start(cold_because="there is no champion yet")
    if champion.run_id == wanted.run_id:
        return Start(cold_because="the champion is of this very run")
    name = f"{champion.run_id}/{wanted.variant}"
    try:
        trained = load_candidate(context.store, champion.run_id, wanted.variant).lead
        different = _differences(trained, wanted, context.settings.train)
        if different:
            return Start(cold_because=f"{name} has other {', '.join(different)}")
        withdrawn = _saw_forgotten(context.store, trained)
        if withdrawn:
            return Start(cold_because=f"{withdrawn}, from which {name} comes, saw an image that was forgotten since")
        return Start(load_head(context.store, trained, context.settings).get_weights(), name)
    except NotFoundError:
        return Start(cold_because=f"the champion's run has no head {name}")
    except DataError as error:
        return Start(cold_because=error.message)


def _saw_forgotten(store: Store, candidate: Candidate) -> str | None:
    """The head, of those that a head's weights go back to, that was fitted to an image forgotten since."""
    forgotten = forgotten_ids(store)
    runs = trained_in(store, candidate) if forgotten else ()
    return next((f"{run_id}/{candidate.variant}" for run_id in runs if was_fitted_to(store, run_id, forgotten)), None)


def _differences(trained: Candidate, wanted: Wanted, train: TrainSettings) -> list[str]:
    before, now = trained.settings["train"], train.model_dump()
    pairs = {
        "classes": (trained.classes, wanted.classes),
        "feature maps": ((trained.fingerprint, trained.feature_shape), (wanted.fingerprint, wanted.feature_shape)),
        "attention": (trained.attention, train.attention),
        "sizes of the head": ([before[name] for name in HEAD_SIZES], [now[name] for name in HEAD_SIZES]),
    }
    return [name for name, (one, other) in pairs.items() if one != other]
