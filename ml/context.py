"""What every step is given: the settings and the store they name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ml.config import Settings, load_settings
from ml.storage import Store, open_store

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Context"]


@dataclass(frozen=True)
class Context:
    """Settings and the open store."""

    settings: Settings
    store: Store

    @classmethod
    def from_environment(cls, path: Path | None = None) -> Context:
        """Read the settings (see :func:`ml.config.load_settings`) and open their store."""
        settings = load_settings(path)
        return cls(settings, open_store(settings.store))
