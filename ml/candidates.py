"""What competes in a run, kept so that it can be rebuilt years later: heads on frozen backbones, and ensembles."""

from __future__ import annotations

import tempfile
import warnings
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml import layout
from ml.errors import DataError
from ml.storage import dump_json, read_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    import keras

    from ml.config import Settings
    from ml.storage import Store

__all__ = [
    "RANDOM_WEIGHTS",
    "Candidate",
    "Contender",
    "Ensemble",
    "Member",
    "load_candidate",
    "load_head",
    "store_candidate",
    "store_ensemble",
    "weights_notice",
]

RECORD = "candidate.json"
#: What is to be said of figures of backbones that are not pretrained.
RANDOM_WEIGHTS = (
    "The backbones carry random, untrained weights, not ImageNet's: these figures show that the pipeline works, not "
    "what the architectures can do."
)

#: The settings that decide what a candidate computes; today's may have changed since.
DECISIVE = ("images", "variants", "weights", "features", "train")


@dataclass(frozen=True)
class Contender(ABC):
    """What can be measured, win, be promoted and be champion: one head, or several that vote.

    Attributes:
        run_id: of the retrain run.
        snapshot_id: what it was trained on.
        classes: labels in the order of its outputs.
        seconds: extraction and training in this run.
        mlflow_run_id: its run at the tracking server.
    """

    run_id: str
    snapshot_id: str
    classes: tuple[str, ...]
    seconds: float
    mlflow_run_id: str

    @property
    @abstractmethod
    def name(self) -> str:
        """Among the run's contenders; its files lie under it."""

    @property
    @abstractmethod
    def members(self) -> tuple[Member, ...]:
        """The heads that answer, with what their votes weigh."""

    @property
    def ablation_of(self) -> str | None:
        """The variant whose head this one repeats without attention."""
        return None

    @property
    def lead(self) -> Candidate:
        """The member whose vote weighs most, of equals the first."""
        return max(self.members, key=lambda member: member.weight).candidate


@dataclass(frozen=True)
class Member:
    """A candidate and what its vote weighs: above 0, and 1 over all members."""

    candidate: Candidate
    weight: float


@dataclass(frozen=True)
class Candidate(Contender):
    """The record beside a head's weights.

    Attributes:
        variant: name under ``settings["variants"]``.
        fingerprint: of its feature maps.
        feature_shape: H, W and C of one.
        weights_digest: SHA-256 of its backbone's weights.
        precision: of the backbone's arithmetic during extraction.
        settings: the sections that decide what it computes, as they were.
        best_epoch: whose weights were kept.
        attention: False for a head with a plain mean over the tokens instead, be it an ablation or what was asked for.
        started_from: ``<run id>/<variant>`` of the head whose weights it started from; None for random ones.
        cold_because: why it did not start from such a head although ``train.warm_start`` asked for it.
    """

    variant: str
    fingerprint: str
    feature_shape: tuple[int, int, int]
    weights_digest: str
    precision: str
    settings: dict[str, Any] = field(repr=False)
    best_epoch: int
    attention: bool = True
    started_from: str | None = None
    cold_because: str | None = None

    @property
    def name(self) -> str:
        """The variant's, with an ending for an ablation."""
        return self.variant if self.ablation_of is None else layout.ablation_name(self.variant)

    @property
    def members(self) -> tuple[Member, ...]:
        """Itself alone."""
        return (Member(self, 1.0),)

    @property
    def ablation_of(self) -> str | None:
        """Its variant, for an ablation: a head without attention beside one that has it, as the settings ask for."""
        asked_for = self.settings.get("train", {}).get("attention", True)
        return self.variant if asked_for and not self.attention else None

    @property
    def features(self) -> str:
        """Prefix of its feature maps."""
        return layout.features_prefix(self.variant, self.fingerprint)

    def restore_settings(self, current: Settings) -> Settings:
        """Today's settings with the decisive sections as they were; where weights come from stays today's."""
        kept = {name: section for name, section in self.settings.items() if name != "weights"}
        weights = current.weights.model_dump() | {key: self.settings["weights"][key] for key in ("source", "seed")}
        # A dump in JSON masks the secrets of `alerts`. Who competes today need not go with how this one was trained.
        own = {"weights": weights, "alerts": current.alerts, "candidates": {}}
        return type(current).model_validate(current.model_dump(mode="json") | kept | own)


@dataclass(frozen=True)
class Ensemble(Contender):
    """Candidates whose probabilities are averaged; its files lie under ``ensemble``."""

    voters: tuple[Member, ...]

    @property
    def name(self) -> str:
        """The same in every run: a run has one at most."""
        return layout.ENSEMBLE

    @property
    def members(self) -> tuple[Member, ...]:
        """Its voters."""
        return self.voters


def weights_notice(settings: Settings) -> str | None:
    """What every report must say when the backbones are not pretrained; None when they are."""
    if settings.weights.source == "imagenet":
        return None
    return RANDOM_WEIGHTS.replace("weights,", f"weights (seed {settings.weights.seed}),", 1)


def store_candidate(store: Store, candidate: Candidate, head: keras.Model) -> None:
    """Write the head's weights, then the record that makes them a candidate."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "head.weights.h5"
        head.save_weights(path)
        store.upload(path, layout.run_key(candidate.run_id, candidate.name, path.name))
    store.put(layout.run_key(candidate.run_id, candidate.name, RECORD), dump_json(asdict(candidate)))


def store_ensemble(store: Store, ensemble: Ensemble) -> None:
    """Write the record of an ensemble, which names its members by their run and name."""
    members = [
        {"run_id": member.candidate.run_id, "variant": member.candidate.name, "weight": member.weight}
        for member in ensemble.members
    ]
    own = {key: getattr(ensemble, key) for key in ("run_id", "snapshot_id", "classes", "seconds", "mlflow_run_id")}
    store.put(layout.run_key(ensemble.run_id, ensemble.name, RECORD), dump_json({**own, "members": members}))


def load_candidate(store: Store, run_id: str, name: str) -> Contender:
    """Read a record.

    Raises:
        NotFoundError: the run has no contender of that name, or a member of an ensemble is gone.
    """
    record = read_json(store, layout.run_key(run_id, name, RECORD))
    if "members" not in record:
        return _head_record(record)
    voters = tuple(
        Member(
            _head_record(read_json(store, layout.run_key(voter["run_id"], voter["variant"], RECORD))), voter["weight"]
        )
        for voter in record.pop("members")
    )
    return Ensemble(**record | {"classes": tuple(record["classes"])}, voters=voters)


def _head_record(record: Mapping[str, Any]) -> Candidate:
    tuples = {key: tuple(record[key]) for key in ("classes", "feature_shape")}
    return Candidate(**{**record, **tuples})


def load_head(store: Store, candidate: Candidate, settings: Settings) -> keras.Model:
    """Rebuild the head and load its weights.

    Raises:
        DataError: they do not fit: another version of Quartet, whose heads were built otherwise, stored them.
    """
    from ml.head import build_head

    train = candidate.restore_settings(settings).train
    head = build_head(candidate.feature_shape, len(candidate.classes), train, attention=candidate.attention)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "head.weights.h5"
        store.download(layout.run_key(candidate.run_id, candidate.name, path.name), path)
        try:
            with warnings.catch_warnings():
                # Of some layers that it does not find Keras only warns, and leaves their fresh weights in place.
                warnings.simplefilter("error", UserWarning)
                head.load_weights(path)
        except (ValueError, UserWarning) as error:
            raise DataError(
                f"The head of {candidate.name} that run {candidate.run_id} trained does not fit: {error}",
                "Another version of Quartet built it. Train again, or go back to that version.",
            ) from error
    return head
