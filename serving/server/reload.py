"""From a model configuration to what serves: checked, applied, awaited."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any

from tensorflow_serving.config import model_server_config_pb2

from serving.server.model_config import check_platforms, check_transition, local_path, read_model_config
from serving.server.policies import read_policy
from serving.server.status import Code, StatusError
from serving.server.versions import State

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from serving.server.catalog import ModelCatalog
    from serving.server.policies import Policy
    from serving.server.versions import VersionManager

__all__ = ["ConfigReloader", "has_outcome", "unavailable_text"]

log = logging.getLogger(__name__)

CHECK_SECONDS = 0.02


class ConfigReloader:
    """Holds a server to one configuration after the other; each is the full state.

    The order of its checks is TensorFlow Serving's, and so is that a configuration which they refuse late replaces the
    stored one all the same: labels are checked against what is loaded before any version of the new configuration is.

    Args:
        catalog: of the models served.
        start: begins to serve a model that is new, from its name, base path and policy.
    """

    def __init__(self, catalog: ModelCatalog, start: Callable[[str, Path, Policy], VersionManager]) -> None:
        self._catalog = catalog
        self._start = start
        self._lock = threading.Lock()
        self._stored = model_server_config_pb2.ModelServerConfig()
        self._applied: dict[str, tuple[str, bytes]] = {}

    def apply(self, config: Any) -> list[VersionManager]:
        """Serve what a ``ModelServerConfig`` names, without waiting for it.

        Returns:
            The models that are new.

        Raises:
            StatusError: the configuration is refused.
        """
        if config.WhichOneof("config") is None:
            log.info("the configuration is empty: nothing changes")
            return []
        with self._lock:
            check_transition(self._stored, config)
            self._stored = type(config).FromString(config.SerializeToString())
            self._catalog.labels.replace(config.model_config_list.config, self._catalog.is_available)
            check_platforms(config)
            return self._serve(config.model_config_list.config)

    def reload(self, config: Any, is_given_up: Callable[[], bool]) -> None:
        """Serve what a ``ModelServerConfig`` names, and wait until every model that is new has a version.

        Raises:
            StatusError: the configuration is refused, UNKNOWN when a new model fails to load, ABORTED when a later
                configuration drops it, CANCELLED when the caller has given up.
        """
        new = self.apply(config)
        while not has_outcome(new):
            if dropped := [manager.name for manager in new if manager.is_retired]:
                raise StatusError(Code.ABORTED, f"A later configuration drops {', '.join(dropped)}")
            if is_given_up():
                raise StatusError(Code.CANCELLED, "The request ended before every new model had a version")
            time.sleep(CHECK_SECONDS)
        if text := unavailable_text(new, "model(s)"):
            raise StatusError(Code.UNKNOWN, text)

    def follow(self, path: Path, stop: threading.Event, interval_seconds: float) -> None:
        """Apply a model config file again and again until told to stop; a broken one is logged and skipped."""
        reported = ""
        while not stop.wait(interval_seconds):
            try:
                self.apply(read_model_config(path))
                reported = ""
            except StatusError as error:
                # Once: the file stays as it is for many polls.
                if error.message != reported:
                    log.error("%s is not taken: %s: %s", path, error.code.name, error.message)  # noqa: TRY400
                reported = error.message
            except Exception:
                # A server that stopped to look would miss every later version.
                log.exception("applying %s failed", path)

    def _serve(self, models: Any) -> list[VersionManager]:
        wanted = {model.name: model for model in models}
        for name in set(self._applied) - set(wanted):
            self._drop(name)
        new = []
        for model in models:
            if model.name in self._applied:
                self._change(model)
            else:
                new.append(self._add(model))
        return new

    def _drop(self, name: str) -> None:
        del self._applied[name]
        if manager := self._catalog.manager(name):
            log.info("dropping model %s", name)
            manager.retire()

    def _add(self, model: Any) -> VersionManager:
        log.info("adding model %s from %s", model.name, model.base_path)
        base_path, policy = local_path(model.base_path), read_policy(model.model_version_policy)
        self._applied[model.name] = _source(model)
        manager = self._catalog.manager(model.name)
        if manager is None:
            manager = self._start(model.name, base_path, policy)
            self._catalog.add(manager)
        else:
            manager.serve(base_path, policy)
        return manager

    def _change(self, model: Any) -> None:
        manager = self._catalog.manager(model.name)
        if manager is None or self._applied[model.name] == _source(model):
            return
        log.info("changing model %s: %s", model.name, str(model.model_version_policy).replace("\n", " ").strip())
        self._applied[model.name] = _source(model)
        manager.serve(local_path(model.base_path), read_policy(model.model_version_policy))


def has_outcome(managers: Collection[VersionManager]) -> bool:
    """Whether each has a version that serves, or one that failed to load for good."""
    return all(manager.outcome() is not None for manager in managers)


def unavailable_text(managers: Collection[VersionManager], what: str) -> str:
    """The models that have an outcome and cannot serve, in TensorFlow Serving's words; empty when all can."""
    failed = []
    for manager in managers:
        outcome = manager.outcome()
        if outcome is not None and outcome.state != State.AVAILABLE:
            reason = f"due to error: {outcome.code.name}: {outcome.message}"
            failed.append(f"{{{{name: {manager.name} version: {outcome.version}}} {reason}}}, ")
    return f"{len(failed)} {what} did not become available: {{{''.join(failed)}}}" if failed else ""


def _source(model: Any) -> tuple[str, bytes]:
    return model.base_path, model.model_version_policy.SerializeToString(deterministic=True)
