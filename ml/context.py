"""What every step is given: the settings and the store they name."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ml import layout
from ml.config import Settings, load_settings
from ml.run_settings import lay_over
from ml.storage import Store, find_json, open_store

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

    def for_run(self, run_id: str) -> Context:
        """The same with the settings of a retrain run: what its plan says was chosen for it, over the configured ones.

        Whatever belongs to a run is done with these. A run that has no plan yet has chosen nothing.

        Raises:
            ConfigError: what was chosen does not go with the settings any more.
        """
        plan = find_json(self.store, layout.run_key(run_id, layout.PLAN))
        if plan is None:
            return self
        return replace(self, settings=lay_over(self.settings, plan.get("overrides", {})))
