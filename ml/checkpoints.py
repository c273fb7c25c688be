"""A training's state between two epochs, kept so that a training that was killed goes on from there."""

from __future__ import annotations

import io
import json
import logging
import tempfile
import time
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from ml.errors import DataError, NotFoundError
from ml.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ml.storage import Store

__all__ = ["Checkpoint", "Checkpoints", "stored_checkpoint"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checkpoint:
    """Where one training's state is kept.

    Attributes:
        load: reads it; None where there is none.
        save: takes a file and keeps what is in it whole, or not at all.
        remove: forgets it.
        subject: what decides the training beside what the training itself knows, by name.
    """

    load: Callable[[], bytes | None]
    save: Callable[[Path], object]
    remove: Callable[[], object]
    subject: Mapping[str, str] = field(default_factory=dict)


def stored_checkpoint(store: Store, key: str, subject: Mapping[str, str]) -> Checkpoint:
    """A checkpoint that is an object of the store."""

    def load() -> bytes | None:
        try:
            return store.get(key)
        except NotFoundError:
            return None

    return Checkpoint(load, lambda path: store.upload(path, key), lambda: store.delete(key), subject)


class Checkpoints:
    """Takes variables and progress to a checkpoint, and back.

    Args:
        checkpoint: None keeps nothing.
        decided_by: digests of what decides the training, by name; a state that others decided is not taken up.
        variables: of Keras: weights, the optimizer's and the states of random generators.
        every_seconds: time between two saves.
    """

    def __init__(
        self,
        checkpoint: Checkpoint | None,
        decided_by: Mapping[str, str],
        variables: Sequence[Any],
        every_seconds: float,
    ) -> None:
        self._checkpoint, self._variables, self._every = checkpoint, variables, every_seconds
        self._decided_by = {**decided_by, **(checkpoint.subject if checkpoint else {})}
        self._saved_at = time.monotonic()

    def restore(self) -> Progress:
        """Give the variables their values of the last save and return its progress; a fresh one without a save."""
        data = self._checkpoint.load() if self._checkpoint else None
        if data is None:
            return Progress()
        try:
            decided_by, progress, values = _unpack(data)
        except DataError as error:
            log.warning("%s Training starts over.", error)
            return Progress()
        others = sorted(
            name
            for name in decided_by.keys() | self._decided_by.keys()
            if decided_by.get(name) != self._decided_by.get(name)
        )
        if others:
            log.info("The checkpoint is another training's: other %s. Training starts over.", ", ".join(others))
            return Progress()
        for variable, value in zip(self._variables, values, strict=True):
            variable.assign(value)
        log.info("Training goes on after epoch %d", len(progress.rows))
        return progress

    def save(self, progress: Progress) -> None:
        """Save, unless that was done a moment ago."""
        if self._checkpoint is None or time.monotonic() - self._saved_at < self._every:
            return
        values = [keras.ops.convert_to_numpy(variable) for variable in self._variables]
        with tempfile.TemporaryDirectory() as folder:  # in memory it would be there three times
            path = Path(folder) / "checkpoint.npz"
            _pack(path, self._decided_by, progress, values)
            self._checkpoint.save(path)
        self._saved_at = time.monotonic()


def _pack(path: Path, decided_by: Mapping[str, str], progress: Progress, values: Sequence[np.ndarray]) -> None:
    """As NumPy's archive, whose CRC-32 tells whether it is whole; nothing is pickled."""
    names = list(progress.rows[0])
    arrays = {f"variable_{index:03d}": value for index, value in enumerate(values)} | {
        f"best_{index:03d}": value for index, value in enumerate(progress.best_weights)
    }
    np.savez(
        path,
        allow_pickle=False,
        decided_by=np.array(json.dumps(dict(decided_by))),
        names=np.array(names),
        rows=np.array([[row[name] for name in names] for row in progress.rows], dtype=np.float64),
        seconds=np.array(progress.seconds),
        **arrays,
    )


def _unpack(data: bytes) -> tuple[dict[str, str], Progress, list[np.ndarray]]:
    try:
        with np.lib.npyio.NpzFile(io.BytesIO(data), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in sorted(archive.files)}
        names = arrays["names"].tolist()
        progress = Progress(
            rows=[dict(zip(names, row, strict=True)) for row in arrays["rows"].tolist()],
            best_weights=[value for name, value in arrays.items() if name.startswith("best_")],
            seconds=float(arrays["seconds"]),
        )
        values = [value for name, value in arrays.items() if name.startswith("variable_")]
        return json.loads(str(arrays["decided_by"])), progress, values
    except (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise DataError(f"The checkpoint cannot be read: {error}.") from error
