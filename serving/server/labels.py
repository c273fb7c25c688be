"""Names for versions, such as ``stable``: which they may stand for, and which they do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from serving.server.status import Code, StatusError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["VersionLabels"]


class VersionLabels:
    """The labels of every model; replaced as a whole, so that a request sees those of one configuration.

    Args:
        allow_unavailable: a label that is new may stand for a version that is not loaded. One that stands for a version
            already moves only to a version that is.
    """

    def __init__(self, allow_unavailable: bool = False) -> None:
        self._allow_unavailable = allow_unavailable
        self._versions: Mapping[str, Mapping[str, int]] | None = None

    def resolve(self, model: str, label: str) -> int:
        """The version that a label stands for, loaded or not.

        Raises:
            StatusError: UNAVAILABLE before the first configuration, INVALID_ARGUMENT when the model has no such label.
        """
        if self._versions is None:
            raise StatusError(Code.UNAVAILABLE, f"Model labels does not init yet.{label}")
        version = self._versions.get(model, {}).get(label)
        if version is None:
            raise StatusError(Code.INVALID_ARGUMENT, f"Unrecognized servable version label: {label}")
        return version

    def replace(self, models: Any, is_available: Callable[[str, int], bool]) -> None:
        """Take the labels of a configuration, or leave all as they are.

        Args:
            models: its ``ModelConfig`` messages.
            is_available: whether a model's version is loaded at this moment.

        Raises:
            StatusError: FAILED_PRECONDITION when a label may not stand for its version.
        """
        for model in models:
            for label, version in model.version_labels.items():
                if not is_available(model.name, version) and not self._may_wait(model.name, label, version):
                    raise StatusError(
                        Code.FAILED_PRECONDITION,
                        f"Request to assign label to version {version} of model {model.name}, which is not currently "
                        "available for inference",
                    )
        self._versions = {model.name: dict(model.version_labels) for model in models}

    def _may_wait(self, model: str, label: str, version: int) -> bool:
        before = (self._versions or {}).get(model, {}).get(label, version)
        return self._allow_unavailable and before == version
