"""MLflow as tracking server and model registry: runs, figures, versions and the champion alias."""

from __future__ import annotations

import fcntl
import logging
import os
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ml.candidates import Contender
    from ml.config import Settings

__all__ = ["Champion", "Registry"]

CHAMPION = "champion"
RUN_TAG, VARIANT_TAG, STATE_TAG = "quartet.run_id", "quartet.variant", "quartet.state"


@dataclass(frozen=True)
class Champion:
    """The version that the alias ``champion`` names, and the candidate behind it, by its run and its name there."""

    version: int
    run_id: str
    variant: str


class Registry:
    """Reads and writes one model's runs and versions.

    Args:
        settings: the tracking address, where artefacts go, and the model's name.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client = _client(settings.tracking_uri)
        self._experiment_id = self._experiment()

    def start_run(self, run_id: str, variant: str, parameters: Mapping[str, Any]) -> str:
        """Begin a tracking run for a candidate, by its name in the run, and return its id."""
        tags = {RUN_TAG: run_id, VARIANT_TAG: variant}
        run = self._client.create_run(self._experiment_id, run_name=f"{variant} {run_id}", tags=tags)
        for name, value in parameters.items():
            self._client.log_param(run.info.run_id, name, value)
        return str(run.info.run_id)

    def log_metrics(self, mlflow_run_id: str, metrics: Mapping[str, float], step: int = 0) -> None:
        """Log figures of a step."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._client.log_batch(mlflow_run_id, [Metric(name, value, now, step) for name, value in metrics.items()])

    def log_files(self, mlflow_run_id: str, files: Mapping[str, bytes]) -> None:
        """Keep files, by name, as the run's artefacts."""
        with tempfile.TemporaryDirectory() as folder:
            for name, data in files.items():
                path = Path(folder) / name
                path.write_bytes(data)
                self._client.log_artifact(mlflow_run_id, str(path))

    def finish_run(self, mlflow_run_id: str, tags: Mapping[str, str]) -> None:
        """Mark a run finished, with tags."""
        for name, value in tags.items():
            self._client.set_tag(mlflow_run_id, name, value)
        self._client.set_terminated(mlflow_run_id)

    def champion(self) -> Champion | None:
        """The current champion, None before the first promotion."""
        from mlflow.exceptions import MlflowException

        try:
            found = self._client.get_model_version_by_alias(self._settings.model_name, CHAMPION)
        except MlflowException as error:
            if error.error_code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
                return None
            raise
        return Champion(int(found.version), found.tags[RUN_TAG], found.tags[VARIANT_TAG])

    def register(self, candidate: Contender, source: str) -> int:
        """Claim a version number for a candidate, the same one when it is asked again.

        Args:
            candidate: what is to be promoted.
            source: URI of its files.
        """
        self._ensure_model()
        wanted = (candidate.run_id, candidate.name)
        for version in self._client.search_model_versions(f"name='{self._settings.model_name}'"):
            if (version.tags.get(RUN_TAG), version.tags.get(VARIANT_TAG)) == wanted:
                return int(version.version)
        tags = {RUN_TAG: candidate.run_id, VARIANT_TAG: candidate.name, STATE_TAG: "claimed"}
        created = self._client.create_model_version(
            self._settings.model_name, source, run_id=candidate.mlflow_run_id, tags=tags
        )
        return int(created.version)

    def versions(self) -> dict[tuple[str, str], int]:
        """The published versions, by run and variant."""
        found = self._client.search_model_versions(f"name='{self._settings.model_name}'")
        published = [version for version in found if version.tags.get(STATE_TAG) == "published"]
        return {(one.tags[RUN_TAG], one.tags[VARIANT_TAG]): int(one.version) for one in published}

    def remove_file(self, mlflow_run_id: str, name: str) -> None:
        """Remove one of a run's artefacts; what is not there is no error."""
        from mlflow.exceptions import MlflowException
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        try:
            run = self._client.get_run(mlflow_run_id)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return
            raise
        get_artifact_repository(run.info.artifact_uri).delete_artifacts(name)

    def promote(self, version: int, reason: str) -> None:
        """Move the champion alias to a published version."""
        name = self._settings.model_name
        self._client.set_model_version_tag(name, str(version), STATE_TAG, "published")
        self._client.update_model_version(name, str(version), description=reason)
        self._client.set_registered_model_alias(name, CHAMPION, str(version))

    def _experiment(self) -> str:
        from mlflow.exceptions import MlflowException

        name = self._settings.model_name
        for _ in range(2):
            experiment = self._client.get_experiment_by_name(name)
            if experiment is not None:
                return str(experiment.experiment_id)
            try:
                return str(self._client.create_experiment(name, artifact_location=_artifacts(self._settings)))
            except MlflowException as error:
                # Two tasks may begin at once; the loser finds the winner's.
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
        raise RuntimeError(f"experiment {name} exists and cannot be found")

    def _ensure_model(self) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self._client.create_registered_model(self._settings.model_name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise


def _client(tracking_uri: str) -> Any:
    # MLflow reports usage to its makers unless told not to, and logs every schema migration.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    from mlflow.tracking import MlflowClient

    def connect() -> Any:
        return MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)

    if not tracking_uri.startswith("sqlite:///"):
        return connect()
    with _alone_with(Path(tracking_uri.removeprefix("sqlite:///"))):
        client = connect()
        # MLflow makes and migrates its tables when it is first asked; two processes that do so at once break them.
        client.search_experiments(max_results=1)
        client.search_registered_models(max_results=1)
    return client


@contextmanager
def _alone_with(database: Path) -> Iterator[None]:
    """One process at a time."""
    database.parent.mkdir(parents=True, exist_ok=True)
    with database.with_name(f"{database.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _artifacts(settings: Settings) -> str:
    uri = settings.artifact_uri
    return uri if "://" in uri else Path(uri).absolute().as_uri()
