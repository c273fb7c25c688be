"""Which models saw an image: the runs whose samples name it, what they trained, and what of that was published."""

from __future__ import annotations

import io
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow.parquet as pq

from ml import layout
from ml.errors import NotFoundError, StoreError
from ml.examples import choose_examples
from ml.promotions import Champion, champion_of, load_changes
from ml.registry import Registry
from ml.storage import read_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from collections.abc import Set as AbstractSet

    from ml.context import Context
    from ml.storage import Store

__all__ = ["Exposure", "find_exposures", "find_warmups"]


@dataclass(frozen=True)
class Exposure:
    """A model that saw an image.

    Attributes:
        run_id: of the retrain run.
        variant: what it trained; None when it has trained nothing.
        split: as which the run used the image: weights were fitted to it in ``train``, chosen by it in
            ``validation``, measured on it in ``test``.
        version: under which the candidate was promoted, else the last it was published as, None when it was not.
        champion: whether it is in production now.
        prefix: of the run's files.
        shown: whether its overlays show the image.
        mlflow_run_id: its run at the tracking server.
        doubted: whether the run's page shows the image among the labels to look at again.
        versions: all that it was published as; a person's decision to promote it publishes it anew.
    """

    run_id: str
    variant: str | None
    split: str
    version: int | None = None
    champion: bool = False
    prefix: str = ""
    shown: bool = False
    mlflow_run_id: str | None = None
    doubted: bool = False
    versions: tuple[int, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """What a tombstone keeps."""
        names = ("run_id", "variant", "split", "version", "champion")
        return {name: getattr(self, name) for name in names}

    @property
    def pages(self) -> tuple[str, ...]:
        """Keys of the pictures and pages that show the image."""
        overlays = (f"{self.prefix}{self.variant}/attention.png",) if self.shown else ()
        return (*overlays, f"{self.prefix}report.html") if self.shown or self.doubted else ()


class _Published:
    """Versions by run and variant, asked for when a run is found that saw an image."""

    def __init__(self, context: Context) -> None:
        from mlflow.exceptions import MlflowException

        try:
            registered = Registry(context.settings).versions()
        except MlflowException as error:
            raise StoreError(
                f"The registry {context.settings.tracking_uri} does not tell which models are published: {error}.",
                "Check that it runs, and `tracking_uri`; nothing has been removed.",
            ) from error
        changes = load_changes(context.store, context.settings.model_name)
        self._champion = champion_of(changes)
        self._versions = {key: set(versions) for key, versions in registered.items()}
        for change in changes:
            self._versions.setdefault((change.run_id, change.variant), set()).add(change.version)
        self._promoted = {(one.run_id, one.variant): one.version for one in changes if one.action == "promote"}

    def of(self, run_id: str, variant: str) -> tuple[int | None, bool, tuple[int, ...]]:
        """The candidate's version, whether it is the champion, and all versions that it was published as."""
        versions = tuple(sorted(self._versions.get((run_id, variant), ())))
        version = self._promoted.get((run_id, variant), versions[-1] if versions else None)
        champion = version is not None and self._champion == Champion(version, run_id, variant)
        return version, champion, versions


def find_exposures(context: Context, image_ids: AbstractSet[str]) -> Iterator[tuple[str, Exposure]]:
    """The models that saw images: pairs of an image id and a model, by run and variant."""
    store = context.store
    keys = [info.key for info in store.list(layout.RUNS)]
    published: _Published | None = None
    for prefix in (key.removesuffix("samples.parquet") for key in keys if fnmatch(key, "runs/*/samples.parquet")):
        seen = _seen(store, prefix, image_ids)
        if not seen:
            continue
        candidates = [key for key in keys if key.startswith(prefix) and key.endswith("/candidate.json")]
        if not candidates:
            yield from (
                (one, Exposure(prefix.split("/")[1], None, split, prefix=prefix)) for one, split in seen.items()
            )
        doubted = _doubted(store, prefix)
        for key in candidates:
            published = published or _Published(context)
            candidate = read_json(store, key)
            run_id, tracked = candidate["run_id"], candidate["mlflow_run_id"]
            # Its folder is its name: an ensemble is of no variant, and an ablation has the variant of another head.
            variant = key.split("/")[-2]
            version, champion, versions = published.of(run_id, variant)
            shown = _shown(store, key.removesuffix("candidate.json") + "predictions.parquet")
            for image_id, split in seen.items():
                pictured = image_id in shown, tracked, image_id in doubted, versions
                yield image_id, Exposure(run_id, variant, split, version, champion, prefix, *pictured)


def find_warmups(context: Context, exposures: Iterable[tuple[str, Exposure]]) -> Iterator[tuple[str, str]]:
    """Pairs of an image id and the key of a published version's warm-up requests that hold the image's bytes."""
    for image_id, exposure in exposures:
        versions = exposure.versions if exposure.split == "test" else ()
        keys = [layout.model_prefix(context.settings.model_name, version) + layout.WARMUP for version in versions]
        listed = context.store.list(layout.image_key(image_id, "")) if keys else ()
        files = [context.store.get(info.key) for info in listed]
        for key in keys:
            with suppress(NotFoundError):
                requests = context.store.get(key)
                if any(file in requests for file in files):
                    yield image_id, key


def _seen(store: Store, prefix: str, image_ids: AbstractSet[str]) -> dict[str, str]:
    """Those of the images that a run names, with their splits."""
    data = io.BytesIO(store.get(f"{prefix}samples.parquet"))
    samples = pq.read_table(data, columns=["image_id", "split"]).to_pandas()
    seen = samples[samples["image_id"].isin(image_ids)]
    return dict(zip(seen["image_id"], seen["split"], strict=True))


def _doubted(store: Store, prefix: str) -> set[str]:
    """The images that a run's page shows among the labels to look at again."""
    try:
        return set(read_json(store, prefix + layout.PAGE_IMAGES)["doubted"])
    except NotFoundError:  # it has no page
        return set()


def _shown(store: Store, key: str) -> set[str]:
    """The images of a candidate's attention overlays."""
    try:
        predictions = pd.read_parquet(io.BytesIO(store.get(key)))
    except NotFoundError:  # it has not been evaluated yet
        return set()
    # The columns are in the order of the model's outputs.
    probabilities = predictions.filter(regex="^p_").to_numpy()
    return set(predictions["image_id"].iloc[list(choose_examples(predictions, probabilities))])
