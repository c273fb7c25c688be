"""From a model's name, version or label to what serves it: the one look-up behind both protocols."""

from __future__ import annotations

from typing import TYPE_CHECKING

from serving.server.labels import VersionLabels
from serving.server.status import Code, StatusError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from serving.server.model import LoadedModel
    from serving.server.versions import VersionManager, VersionState

__all__ = ["ModelCatalog"]


class ModelCatalog:
    """The models of a server, by name. One that is not configured any more stays for what its versions came to."""

    def __init__(self, managers: Iterable[VersionManager] = (), labels: VersionLabels | None = None) -> None:
        self._managers = {manager.name: manager for manager in managers}
        self.labels = labels or VersionLabels()

    @property
    def managers(self) -> tuple[VersionManager, ...]:
        """Of every model there has been."""
        return tuple(self._managers.values())

    def manager(self, name: str) -> VersionManager | None:
        """Of one model."""
        return self._managers.get(name)

    def add(self, manager: VersionManager) -> None:
        """Take a model in."""
        # Requests look into the old table until the new one is whole.
        self._managers = {**self._managers, manager.name: manager}

    def find(self, name: str, version: int | None = None, label: str | None = None) -> LoadedModel:
        """The model for a request; the caller holds it for as long as it needs it.

        Raises:
            StatusError: NOT_FOUND when the model or version is not loaded, INVALID_ARGUMENT for a label that it does
                not have, UNAVAILABLE for any label before the first configuration.
        """
        if label is not None:
            version = self.labels.resolve(name, label)
        manager = self._managers.get(name)
        if manager is None:
            wanted = f"Latest({name})" if version is None else f"Specific({name}, {version})"
            raise StatusError(Code.NOT_FOUND, f"Servable not found for request: {wanted}")
        return manager.model(version)

    def states(self, name: str, version: int | None = None) -> list[VersionState]:
        """A model's versions from the highest to the lowest.

        Raises:
            StatusError: NOT_FOUND when there is none.
        """
        manager = self._managers.get(name)
        if manager is None:
            what = "any versions" if version is None else f"version {version}"
            raise StatusError(Code.NOT_FOUND, f"Could not find {what} of model {name}")
        return manager.states(version)

    def is_available(self, name: str, version: int) -> bool:
        """Whether a version can serve at this moment."""
        manager = self._managers.get(name)
        return manager is not None and manager.is_available(version)
