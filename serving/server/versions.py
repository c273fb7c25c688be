"""Which versions of a model serve: loaded as a policy asks, new before old."""

from __future__ import annotations

import contextlib
import gc
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING

from serving.server.policies import Policy, latest, nothing
from serving.server.status import Code, StatusError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from contextlib import AbstractContextManager

    from serving.server.model import LoadedModel

__all__ = ["Loader", "RetryRule", "State", "VersionManager", "VersionState"]

log = logging.getLogger(__name__)

#: From a version's folder and number to the model in memory; any exception is a failed load.
Loader = Callable[[Path, int], "LoadedModel"]


class State(IntEnum):
    """Life of a version; the numbers are the protocol's."""

    UNKNOWN = 0
    START = 10
    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


@dataclass(frozen=True)
class VersionState:
    """A version's state; END with a code other than OK is a load that failed."""

    version: int
    state: State
    code: Code = Code.OK
    message: str = ""


@dataclass(frozen=True)
class RetryRule:
    """How often a failed load is repeated, and after how many seconds each time."""

    retries: int = 5
    interval_seconds: float = 60.0


@dataclass(frozen=True)
class _Failure:
    attempts: int
    next_attempt: float
    final: bool


@dataclass(frozen=True)
class _Target:
    base_path: Path
    policy: Policy


class VersionManager:
    """Polls one model's base path and loads and unloads versions as the policy asks.

    A version that shall go stays until one that shall serve is loaded. A version whose load failed for good is not
    tried again while the policy asks for it: a higher one, or its folder gone for one poll, ends that.

    Args:
        name: of the model.
        base_path: holds a folder for each version, named by its number.
        load: makes a model of a folder.
        policy: which of the versions there shall serve.
        retry: for loads that fail.
        load_slot: held during a load, for those that share it to load one after the other.
    """

    def __init__(
        self,
        name: str,
        base_path: Path,
        load: Loader,
        policy: Policy | None = None,
        retry: RetryRule | None = None,
        load_slot: AbstractContextManager[object] | None = None,
    ) -> None:
        self.name = name
        self._target = _Target(base_path, policy or latest())
        self._load = load
        self._retry = retry or RetryRule()
        self._load_slot = load_slot or contextlib.nullcontext()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._loaded: dict[int, LoadedModel] = {}
        self._states: dict[int, VersionState] = {}
        self._failures: dict[int, _Failure] = {}
        self._readable = True

    def run(self, stop: threading.Event, interval_seconds: float) -> None:
        """Poll until told to stop.

        Args:
            stop: ends it, with the poll or the load in progress; :meth:`wake` saves the wait for the interval.
            interval_seconds: between two polls. 0 polls once and again for what :meth:`serve` changes and for loads to
                be repeated; below 0 only for what is changed.
        """
        if interval_seconds < 0:
            self._wake.wait()
        while not stop.is_set():
            self._wake.clear()
            try:
                self.poll()
            except Exception:
                # A server that stopped to look for versions would serve the old one for ever.
                log.exception("polling %s failed", self._target.base_path)
            self._wake.wait(interval_seconds if interval_seconds > 0 else self._until_retry())

    def wake(self) -> None:
        """Poll now."""
        self._wake.set()

    def serve(self, base_path: Path, policy: Policy) -> None:
        """Serve other versions, or versions from elsewhere; those loaded already are not loaded again."""
        with self._lock:
            self._target = _Target(base_path, policy)
        self.wake()

    def retire(self) -> None:
        """Serve no version; one that failed to load has another chance when the model comes back."""
        with self._lock:
            self._target = _Target(self._target.base_path, nothing)
            self._failures.clear()
        self.wake()

    def poll(self) -> None:
        """Look at the base path once and act on it; one thread calls this."""
        target = self._target
        found = self._choose(target)
        if found is None:
            return
        with self._lock:
            self._failures = {version: failure for version, failure in self._failures.items() if version in found}
        unloaded = self._unload_old(found)
        due = sorted((version for version in set(found) - set(self._loaded) if self._is_due(version)), reverse=True)
        for version in due:
            if version not in self._failures:
                self._set(VersionState(version, State.START))
        for version in due:
            # What is asked for may change during a long load: the next poll follows at once.
            if self._target is target:
                self._try(version, found[version], target)
        if self._unload_old(found) or unloaded or due:
            _release_memory()

    def model(self, version: int | None = None) -> LoadedModel:
        """The model for a request: a version, or the highest one that is loaded.

        Raises:
            StatusError: NOT_FOUND when it is not loaded.
        """
        with self._lock:
            chosen = max(self._loaded, default=None) if version is None else version
            model = None if chosen is None else self._loaded.get(chosen)
        if model is None:
            wanted = f"Latest({self.name})" if version is None else f"Specific({self.name}, {version})"
            raise StatusError(Code.NOT_FOUND, f"Servable not found for request: {wanted}")
        return model

    def states(self, version: int | None = None) -> list[VersionState]:
        """States from the highest version to the lowest, those that ended included.

        Raises:
            StatusError: NOT_FOUND when there is none.
        """
        with self._lock:
            states = sorted(self._states.values(), key=lambda state: -state.version)
        wanted = [state for state in states if version in {None, state.version}]
        if not wanted:
            what = "any versions" if version is None else f"version {version}"
            raise StatusError(Code.NOT_FOUND, f"Could not find {what} of model {self.name}")
        return wanted

    @property
    def is_ready(self) -> bool:
        """Whether a version can serve."""
        with self._lock:
            return bool(self._loaded)

    def is_available(self, version: int) -> bool:
        """Whether this version can serve."""
        with self._lock:
            return version in self._loaded

    @property
    def is_retired(self) -> bool:
        """Whether the model is not configured any more."""
        return self._target.policy is nothing

    def outcome(self) -> VersionState | None:
        """What became of the model: its highest version that serves or failed to load for good, if there is one."""
        with self._lock:
            final = [version for version, failure in self._failures.items() if failure.final]
            decided = [*self._loaded, *final]
            return self._states[max(decided)] if decided else None

    def _choose(self, target: _Target) -> Mapping[int, Path] | None:
        try:
            found = target.policy(target.base_path)
        except OSError as error:
            if self._readable:
                log.warning("%s cannot be read, what is loaded stays: %s", target.base_path, error)
            self._readable = False
            return None
        self._readable = True
        return found

    def _is_due(self, version: int) -> bool:
        failure = self._failures.get(version)
        return failure is None or (not failure.final and time.monotonic() >= failure.next_attempt)

    def _until_retry(self) -> float | None:
        with self._lock:
            pending = [failure.next_attempt for failure in self._failures.values() if not failure.final]
        return max(0.0, min(pending) - time.monotonic()) if pending else None

    def _try(self, version: int, folder: Path, target: _Target) -> None:
        with self._load_slot:
            self._set(VersionState(version, State.LOADING))
            started = time.monotonic()
            try:
                model = self._load(folder, version)
            except Exception as error:  # noqa: BLE001 - logged by _fail; whatever is wrong with it, the others go on
                self._fail(version, error, target)
                return
        with self._lock:
            self._loaded[version] = model
            self._failures.pop(version, None)
            self._states[version] = VersionState(version, State.AVAILABLE)
        log.info("loaded version %d of %s in %.1f s", version, self.name, time.monotonic() - started)

    def _fail(self, version: int, error: Exception, target: _Target) -> None:
        before = self._failures.get(version)
        attempts = before.attempts + 1 if before else 1
        final = attempts > self._retry.retries
        outlook = "not tried again" if final else f"tried again in {self._retry.interval_seconds:g} s"
        known = error if isinstance(error, StatusError) else None
        code = known.code if known else Code.UNKNOWN
        text = known.message if known else f"{type(error).__name__}: {error}"
        log.error(
            "version %d of %s cannot be loaded, attempt %d, %s: %s",
            version,
            self.name,
            attempts,
            outlook,
            text,
            # A broken SavedModel is explained by the text; anything else is a defect of this server.
            exc_info=None if known else error,
        )
        next_attempt = time.monotonic() + self._retry.interval_seconds
        with self._lock:
            # A model that was dropped and came back during this load has its chances anew.
            if self._target is target:
                self._failures[version] = _Failure(attempts, next_attempt, final)
            if final:
                self._states[version] = VersionState(version, State.END, code, text)

    def _unload_old(self, aspired: Collection[int]) -> bool:
        # With nothing aspired everything goes; else the old ones wait for a new one.
        old = sorted(set(self._loaded) - set(aspired))
        if aspired and not set(self._loaded) & set(aspired):
            return False
        for version in old:
            self._unload(version)
        return bool(old)

    def _unload(self, version: int) -> None:
        started = time.monotonic()
        self._set(VersionState(version, State.UNLOADING))
        with self._lock:
            del self._loaded[version]
            self._states[version] = VersionState(version, State.END)
        log.info("unloaded version %d of %s in %.1f s", version, self.name, time.monotonic() - started)

    def _set(self, state: VersionState) -> None:
        with self._lock:
            self._states[state.version] = state


def _release_memory() -> None:
    # A loaded graph is full of reference cycles: only a collection frees one that was unloaded. What remains is then
    # kept out of every later collection's way, which otherwise costs requests tens of milliseconds.
    gc.unfreeze()
    gc.collect()
    gc.freeze()
