"""A trained variant: what it was trained on and with, kept so that it can be rebuilt years later."""

from __future__ import annotations

import tempfile
import warnings
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml import layout
from ml.errors import DataError
from ml.storage import dump_json, read_json

if TYPE_CHECKING:
    import keras

    from ml.config import Settings
    from ml.storage import Store

__all__ = ["Candidate", "load_candidate", "load_head", "store_candidate", "weights_notice"]

#: The settings that decide what a candidate computes; today's may have changed since.
DECISIVE = ("images", "variants", "weights", "features", "train")


@dataclass(frozen=True)
class Candidate:
    """The record beside a head's weights.

    Attributes:
        run_id: of the retrain run.
        variant: name under ``settings["variants"]``.
        snapshot_id: what it was trained on.
        classes: labels in the order of its outputs.
        fingerprint: of its feature maps.
        feature_shape: H, W and C of one.
        weights_digest: SHA-256 of its backbone's weights.
        precision: of the backbone's arithmetic during extraction.
        settings: the sections that decide what it computes, as they were.
        best_epoch: whose weights were kept.
        seconds: extraction and training in this run.
        mlflow_run_id: its run at the tracking server.
        started_from: ``<run id>/<variant>`` of the head whose weights it started from; None for random ones.
        cold_because: why it did not start from such a head although ``train.warm_start`` asked for it.
    """

    run_id: str
    variant: str
    snapshot_id: str
    classes: tuple[str, ...]
    fingerprint: str
    feature_shape: tuple[int, int, int]
    weights_digest: str
    precision: str
    settings: dict[str, Any] = field(repr=False)
    best_epoch: int
    seconds: float
    mlflow_run_id: str
    started_from: str | None = None
    cold_because: str | None = None

    @property
    def features(self) -> str:
        """Prefix of its feature maps."""
        return layout.features_prefix(self.variant, self.fingerprint)

    def restore_settings(self, current: Settings) -> Settings:
        """Today's settings with the decisive sections as they were; where weights come from stays today's."""
        kept = {name: section for name, section in self.settings.items() if name != "weights"}
        weights = current.weights.model_dump() | {key: self.settings["weights"][key] for key in ("source", "seed")}
        # A dump in JSON masks the secrets of `alerts`.
        own = {"weights": weights, "alerts": current.alerts}
        return type(current).model_validate(current.model_dump(mode="json") | kept | own)


def weights_notice(settings: Settings) -> str | None:
    """What every report must say when the backbones are not pretrained; None when they are."""
    if settings.weights.source == "imagenet":
        return None
    return (
        f"The backbones carry random, untrained weights (seed {settings.weights.seed}), not ImageNet's: these figures "
        "show that the pipeline works, not what the architectures can do."
    )


def store_candidate(store: Store, candidate: Candidate, head: keras.Model) -> None:
    """Write the head's weights, then the record that makes them a candidate."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "head.weights.h5"
        head.save_weights(path)
        store.upload(path, layout.run_key(candidate.run_id, candidate.variant, path.name))
    store.put(layout.run_key(candidate.run_id, candidate.variant, "candidate.json"), dump_json(asdict(candidate)))


def load_candidate(store: Store, run_id: str, variant: str) -> Candidate:
    """Read a record.

    Raises:
        NotFoundError: the run trained no such variant.
    """
    record = read_json(store, layout.run_key(run_id, variant, "candidate.json"))
    record["classes"] = tuple(record["classes"])
    record["feature_shape"] = tuple(record["feature_shape"])
    return Candidate(**record)


def load_head(store: Store, candidate: Candidate, settings: Settings) -> keras.Model:
    """Rebuild the head and load its weights.

    Raises:
        DataError: they do not fit: another version of Quartet, whose heads were built otherwise, stored them.
    """
    from ml.head import build_head

    head = build_head(candidate.feature_shape, len(candidate.classes), candidate.restore_settings(settings).train)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "head.weights.h5"
        store.download(layout.run_key(candidate.run_id, candidate.variant, path.name), path)
        try:
            with warnings.catch_warnings():
                # Of some layers that it does not find Keras only warns, and leaves their fresh weights in place.
                warnings.simplefilter("error", UserWarning)
                head.load_weights(path)
        except (ValueError, UserWarning) as error:
            raise DataError(
                f"The head of {candidate.variant} that run {candidate.run_id} trained does not fit: {error}",
                "Another version of Quartet built it. Train again, or go back to that version.",
            ) from error
    return head
