"""Telling somebody what loaded versions answer."""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from serving.server.model import LoadedModel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["Observation", "Observer", "observed", "unobserved"]

log = logging.getLogger(__name__)

_UNOBSERVED: ContextVar[bool] = ContextVar("unobserved", default=False)


class Observation(NamedTuple):
    """One answered call of a signature."""

    model_name: str
    version: int
    signature: str
    inputs: Mapping[str, Any]
    outputs: Mapping[str, NDArray[Any]]
    milliseconds: float


#: Called in the thread that answers, before the answer is sent: it must return at once.
Observer: TypeAlias = "Callable[[Observation], None]"


@dataclass(frozen=True, kw_only=True)
class _ObservedModel(LoadedModel):
    """A version that tells of its answers."""

    model_name: str
    observe: Observer

    def run(self, name: str, inputs: Mapping[str, Any], *further: Any) -> dict[str, NDArray[Any]]:
        """Call a signature."""
        started = time.perf_counter()
        outputs = super().run(name, inputs, *further)
        milliseconds = (time.perf_counter() - started) * 1000
        if _UNOBSERVED.get():
            return outputs
        try:
            self.observe(Observation(self.model_name, self.version, name, inputs, outputs, milliseconds))
        except Exception:
            # The answer is right, whatever is wrong with who looks on.
            log.exception("what looks on at %s failed", self.model_name)
        return outputs


@contextmanager
def unobserved(probe: bool) -> Iterator[None]:
    """Tell no observer of what is asked inside, in this thread, if it only tries the server."""
    token = _UNOBSERVED.set(probe)
    try:
        yield
    finally:
        _UNOBSERVED.reset(token)


def observed(
    load: Callable[[Path, int], LoadedModel], model_name: str, observe: Observer
) -> Callable[[Path, int], LoadedModel]:
    """A loader whose versions tell an observer of what they answer; of their warm-up, which is a part of the load, not.

    Args:
        load: of :class:`serving.server.versions.VersionManager`.
        model_name: of the versions.
        observe: is told.
    """

    def load_observed(folder: Path, version: int) -> LoadedModel:
        model = load(folder, version)
        known = {field.name: getattr(model, field.name) for field in fields(model)}
        return _ObservedModel(**known, model_name=model_name, observe=observe)

    return load_observed
