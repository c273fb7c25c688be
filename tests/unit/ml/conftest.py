from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pytest
from PIL import Image

from ml.config import Settings
from ml.context import Context
from ml.storage import open_store

if TYPE_CHECKING:
    from pathlib import Path

    from ml.storage import Store


class MakeSettings(Protocol):
    def __call__(self, overrides: dict[str, Any] | None = None) -> Settings: ...


class PutImage(Protocol):
    def __call__(self, label: str, name: str, seed: int = 0, size: tuple[int, int] = (48, 40)) -> bytes: ...


def merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    both = {key: merge(base[key], over[key]) for key in base.keys() & over.keys() if isinstance(over[key], dict)}
    return base | over | both


@pytest.fixture
def make_settings(tmp_path: Path) -> MakeSettings:
    """Settings for tiny runs with everything below tmp_path; takes what differs, as a nested dict."""
    tiny = {
        "store": {"url": str(tmp_path / "store"), "cache_dir": tmp_path / "cache"},
        "images": {"size": 32},
        "weights": {"source": "random"},
        "tracking_uri": f"sqlite:///{tmp_path / 'mlflow.db'}",
        "artifact_uri": str(tmp_path / "artifacts"),
        "serving": {"model_dir": tmp_path / "models"},
    }
    return lambda overrides=None: Settings.model_validate(merge(tiny, overrides or {}))


@pytest.fixture
def settings(make_settings: MakeSettings) -> Settings:
    return make_settings()


@pytest.fixture
def store(settings: Settings) -> Store:
    return open_store(settings.store)


@pytest.fixture
def context(settings: Settings, store: Store) -> Context:
    return Context(settings, store)


@pytest.fixture(scope="session")
def tracking_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty tracking database to copy: making one takes seconds."""
    with warnings.catch_warnings():
        # MLflow's own modules warn when they are imported.
        warnings.simplefilter("ignore")
        from mlflow.tracking import MlflowClient

        path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
        MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def put_image(store: Store) -> PutImage:
    """Writes a PNG of seeded noise, size as (width, height), to landing/<label>/<name>; returns its bytes."""

    def put(label: str, name: str, seed: int = 0, size: tuple[int, int] = (48, 40)) -> bytes:
        pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, "PNG")
        store.put(f"landing/{label}/{name}", stream.getvalue())
        return stream.getvalue()

    return put
