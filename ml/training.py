"""Training a head on cached feature maps."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from ml.adam import FusedAdam
from ml.batches import Batches, LabelledImages, channel_statistics
from ml.checkpoints import Checkpoints
from ml.head import build_head
from ml.machine import release_memory
from ml.macro_f1 import MacroF1
from ml.precision import resolve_precision
from ml.sampling import class_weights
from ml.schedules import LearningRate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd

    from ml.checkpoints import Checkpoint
    from ml.config import TrainSettings
    from ml.features import FeatureReader
    from ml.progress import Progress

__all__ = ["LabelledImages", "TrainedHead", "predict_head", "train_head"]

STEPS_AT_ONCE = 8
#: Batches that make one where no gradient wants few images.
VALIDATION_BATCHES = 4
#: Settings that change nothing in what a training of a given length and beginning computes.
INDIFFERENT = {"checkpoint_seconds", "precision", "warm_start", "warm_epochs"}


@dataclass(frozen=True)
class TrainedHead:
    """A head with its best epoch's weights.

    Attributes:
        head: computes in float32, whatever it was trained in.
        history: a row an epoch: epoch (from 1), accuracy, loss, val_accuracy, val_loss, val_macro_f1 and
            learning_rate, that of its last step.
        best_epoch: whose weights it has.
        precision: of the products in training.
        seconds: of training alone.
    """

    head: keras.Model
    history: pd.DataFrame
    best_epoch: int
    precision: str
    seconds: float


class _Course(keras.callbacks.Callback):  # type: ignore[misc]
    """What happens between epochs: notes, checkpoints, and the decision to stop."""

    def __init__(
        self,
        head: keras.Model,
        batches: Batches,
        settings: TrainSettings,
        checkpoints: Checkpoints,
        on_epoch: Callable[[int, dict[str, float]], None],
        began: float,
    ) -> None:
        super().__init__()
        self.progress = checkpoints.restore()
        self._head, self._batches, self._settings, self._checkpoints = head, batches, settings, checkpoints
        self._rate, self._on_epoch = LearningRate(settings, len(batches)), on_epoch
        self._began = began - self.progress.seconds
        for epoch, row in enumerate(self.progress.rows, start=1):
            on_epoch(epoch, row)

    @property
    def is_over(self) -> bool:
        return self.progress.is_over(self._settings.epochs, self._settings.patience)

    def on_epoch_begin(self, epoch: int, _logs: object = None) -> None:
        self._batches.shuffle(epoch)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        # Macro F1 of the training images is of no epoch's weights: they change with every batch.
        row = {name: float(value) for name, value in (logs or {}).items() if name != "macro_f1"}
        row["learning_rate"] = float(self._rate((epoch + 1) * len(self._batches) - 1))
        self.progress.add(row, self._head.get_weights)
        self.progress.seconds = time.monotonic() - self._began
        # Told first: what is in a checkpoint is not told again to one who was told all of it.
        self._on_epoch(epoch + 1, row)
        self._checkpoints.save(self.progress)
        self.model.stop_training = self.is_over


def train_head(
    reader: FeatureReader,
    training: LabelledImages,
    validation: LabelledImages,
    class_count: int,
    settings: TrainSettings,
    on_epoch: Callable[[int, dict[str, float]], None] = lambda _epoch, _metrics: None,
    *,
    initial: Sequence[np.ndarray] | None = None,
    checkpoint: Checkpoint | None = None,
    attention: bool = True,
) -> TrainedHead:
    """Train a head with Adam on cross-entropy; stop early and keep the weights of the best validation macro F1.

    On the processors of one machine equal arguments give equal weights, bit for bit, also when a checkpoint is gone on
    from.

    Args:
        reader: the cached feature maps.
        training: may name an image several times (oversampling).
        validation: each image once.
        class_count: number of classes.
        settings: the head and its training.
        on_epoch: called after each epoch with its number, from 1, and its metrics; for the epochs of a checkpoint at
            the beginning.
        initial: weights of a head of the same sizes to start from, with its statistics of the features.
        checkpoint: where the state is kept between epochs.
        attention: whether the head has it.
    """
    began = time.monotonic()
    release_memory()  # of what was trained or extracted before
    precision = resolve_precision(settings.precision)
    build = partial(build_head, reader.shape(), class_count, settings, attention=attention)
    head = _initial_head(build, reader, training, precision, initial)
    weights = class_weights(training.labels, class_count) if settings.imbalance == "class_weight" else None
    batches = Batches(reader, training, settings.batch_size, settings.seed, weights)
    model = _compiled(head, class_count, settings, len(batches))
    state = [*head.variables, *model.optimizer.variables]
    decided_by = _decided_by(settings, precision, training, validation, state, initial) if checkpoint else {}
    checkpoints = Checkpoints(checkpoint, decided_by, state, settings.checkpoint_seconds)
    course = _Course(head, batches, settings, checkpoints, on_epoch, began)
    if not course.is_over:
        held_out = Batches(reader, validation, VALIDATION_BATCHES * settings.batch_size)
        _fit(model, batches, held_out, settings.epochs, course)
    return _finished(build, head, course.progress, precision)


def _fit(model: keras.Model, training: Batches, validation: Batches, epochs: int, course: _Course) -> None:
    try:
        model.fit(
            training.dataset(),
            validation_data=validation.dataset(),
            epochs=epochs,
            initial_epoch=len(course.progress.rows),
            shuffle=False,  # the dataset is in its epoch's order
            verbose=0,
            callbacks=[course],
        )
    except tf.errors.OpError:
        for failure in filter(None, (training.failure, validation.failure)):
            raise failure from None
        raise


def _initial_head(
    build: Callable[..., keras.Model],
    reader: FeatureReader,
    training: LabelledImages,
    precision: str,
    initial: Sequence[np.ndarray] | None,
) -> keras.Model:
    if initial is None:
        mean, variance = channel_statistics(reader, sorted(set(training.image_ids)))
        return build(mean=mean, variance=variance, precision=precision)
    head = build(precision=precision)
    head.set_weights(initial)
    return head


def _compiled(head: keras.Model, class_count: int, settings: TrainSettings, steps: int) -> keras.Model:
    model = keras.Model(head.input, head.output["probabilities"])
    model.compile(
        optimizer=FusedAdam(LearningRate(settings, steps)),
        loss=keras.losses.SparseCategoricalCrossentropy(),
        metrics=["accuracy", MacroF1(class_count)],
        # XLA on CPUs compiles for seconds what then runs no faster.
        jit_compile=False,
        # Steps between which Keras comes back to Python, which takes it as long as the products of a small batch.
        steps_per_execution=STEPS_AT_ONCE,
    )
    model.optimizer.build(model.trainable_variables)
    return model


def _finished(build: Callable[..., keras.Model], head: keras.Model, progress: Progress, precision: str) -> TrainedHead:
    if precision != "float32":
        head = build()  # in the arithmetic in which a head is evaluated and served
    head.set_weights(progress.best_weights)
    return TrainedHead(head, progress.table(), progress.best_epoch, precision, progress.seconds)


def _decided_by(
    settings: TrainSettings,
    precision: str,
    training: LabelledImages,
    validation: LabelledImages,
    state: Sequence[Any],
    initial: Sequence[np.ndarray] | None,
) -> dict[str, str]:
    """Digests of what decides each bit of a training, by name."""
    return {
        "settings": _digest(settings.model_dump_json(exclude=INDIFFERENT), precision),
        "training images": _digest(*training.image_ids, training.labels.tolist(), *training.views),
        "validation images": _digest(*validation.image_ids, validation.labels.tolist()),
        "initial weights": "random" if initial is None else _digest(*(value.tobytes() for value in initial)),
        "shapes of weights": _digest(*(tuple(variable.shape) for variable in state)),
        "libraries": f"Keras {keras.__version__}, TensorFlow {version('tensorflow')}",
    }


def _digest(*values: object) -> str:
    digest = hashlib.sha256()
    for value in values:
        digest.update(value if isinstance(value, bytes) else json.dumps(value).encode())
    return digest.hexdigest()


def predict_head(
    head: keras.Model, reader: FeatureReader, image_ids: Sequence[str], batch_size: int = 64
) -> dict[str, np.ndarray]:
    """Run a head over cached maps: ``probabilities`` float32 [N, C] and ``attention`` float32 [N, H, W]."""
    parts: list[dict[str, Any]] = []
    for start in range(0, len(image_ids), batch_size):
        output = head(reader.take(image_ids[start : start + batch_size]), training=False)
        parts.append({name: keras.ops.convert_to_numpy(value) for name, value in output.items()})
    return {name: np.concatenate([part[name] for part in parts]) for name in ("probabilities", "attention")}
