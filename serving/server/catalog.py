"""From a model's name, version or label to what serves it: the one look-up behind both protocols."""

from __future__ import annotations

from typing import TYPE_CHECKING

from serving.server.status import Code, StatusError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from serving.server.model import LoadedModel
    from serving.server.versions import VersionManager, VersionState

__all__ = ["ModelCatalog"]


class ModelCatalog:
    """The models of a server, by name."""

    def __init__(self, managers: Iterable[VersionManager]) -> None:
        self._managers = {manager.name: manager for manager in managers}

    def find(self, name: str, version: int | None = None, label: str | None = None) -> LoadedModel:
        """The model for a request; the caller holds it for as long as it needs it.

        Raises:
            StatusError: NOT_FOUND when the model or version is not loaded, INVALID_ARGUMENT for a label, since labels
                come from a configuration file and a server started with ``--model_name`` has none.
        """
        if label is not None:
            raise StatusError(Code.INVALID_ARGUMENT, f"Unrecognized servable version label: {label}")
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
            raise StatusError(Code.NOT_FOUND, f"Could not find any versions of model {name}")
        return manager.states(version)
