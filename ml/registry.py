"""MLflow as tracking server and model registry: runs, figures, versions and the champion alias."""

from __future__ import annotations

import fcntl
import functools
import logging
import os
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ml.candidates import Contender
    from ml.config import Settings

__all__ = ["Registry", "tracking_page"]

log = logging.getLogger(__name__)

#: Aliases, which follow the record of what serves.
CHAMPION, CHALLENGER = "champion", "challenger"
#: Characters of a tag that every tracking store of MLflow takes.
MAX_TAG = 5000
TAG = "quartet."
RUN_TAG, VARIANT_TAG, STATE_TAG = f"{TAG}run_id", f"{TAG}variant", f"{TAG}state"


class Registry:
    """Reads and writes one model's runs and versions.

    Args:
        settings: the tracking address, where artefacts go, and the model's name.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client = _client(settings.tracking_uri, os.getpid())
        self._experiment_id = self._experiment()

    def start_run(self, run_id: str, variant: str, parameters: Mapping[str, Any]) -> str:
        """Begin a tracking run for a candidate and return its id; one that a killed task began is gone on with.

        One with other parameters is of another training, and is marked as killed.
        """
        from mlflow.entities import Param

        logged = {name: str(value) for name, value in parameters.items()}
        tracked = self._unfinished_run(run_id, variant, logged)
        if tracked is None:
            tags = {RUN_TAG: run_id, VARIANT_TAG: variant}
            run = self._client.create_run(self._experiment_id, run_name=f"{variant} {run_id}", tags=tags)
            tracked = str(run.info.run_id)
        self._client.log_batch(tracked, params=[Param(name, value) for name, value in logged.items()])
        return tracked

    def _unfinished_run(self, run_id: str, variant: str, parameters: Mapping[str, str]) -> str | None:
        # Ids of runs come from people and from Airflow; they are no part of the query, which has no way to quote them.
        query = f"attributes.status = 'RUNNING' and tags.`{VARIANT_TAG}` = '{variant}'"
        found = None
        for run in self._search_runs(query):
            if run.data.tags.get(RUN_TAG) != run_id:
                continue
            # Killed while it was begun, a run has none of its parameters yet.
            if found is None and run.data.params.items() <= parameters.items():
                found = str(run.info.run_id)
            else:
                self._client.set_terminated(run.info.run_id, "KILLED")
        return found

    def _search_runs(self, query: str) -> Iterator[Any]:
        token = None
        while True:
            page = self._client.search_runs([self._experiment_id], query, page_token=token)
            yield from page
            token = page.token
            if not token:
                return

    def epoch_log(self, mlflow_run_id: str, name: str) -> Callable[[int, Mapping[str, float]], None]:
        """What logs an epoch of a training, and tracks it unless a task that was killed did."""
        known = self.logged(mlflow_run_id, "val_loss")

        def log_epoch(epoch: int, metrics: Mapping[str, float]) -> None:
            log.info("%s: epoch %d, %s", name, epoch, ", ".join(f"{key} {one:.4g}" for key, one in metrics.items()))
            # Of a training that started over, an epoch of the same number is another one.
            if known.get(epoch) != metrics["val_loss"]:
                self.log_metrics(mlflow_run_id, metrics, epoch)

        return log_epoch

    def logged(self, mlflow_run_id: str, metric: str) -> dict[int, float]:
        """A figure by step, as far as it was logged."""
        return {int(point.step): float(point.value) for point in self._client.get_metric_history(mlflow_run_id, metric)}

    def log_metrics(self, mlflow_run_id: str, metrics: Mapping[str, float], step: int = 0) -> None:
        """Log figures of a step."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._client.log_batch(mlflow_run_id, [Metric(name, value, now, step) for name, value in metrics.items()])

    def page(self, mlflow_run_id: str) -> str | None:
        """Address of a run's page, as :func:`tracking_page` gives it."""
        return tracking_page(self._settings.tracking_uri, self._experiment_id, mlflow_run_id)

    def log_files(self, mlflow_run_id: str, files: Mapping[str, bytes]) -> None:
        """Keep files, by name, as the run's artefacts."""
        with tempfile.TemporaryDirectory() as folder:
            for name, data in files.items():
                path = Path(folder) / name
                path.write_bytes(data)
                self._client.log_artifact(mlflow_run_id, str(path))

    def tag_run(self, mlflow_run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags of a run, in place of what they were; what MLflow has no room for is cut."""
        for name, value in tags.items():
            self._client.set_tag(mlflow_run_id, name, value[:MAX_TAG])

    def tag_run_if_there(self, mlflow_run_id: str, tags: Mapping[str, str]) -> None:
        """The same; a run that was deleted is left alone."""
        from mlflow.exceptions import MlflowException

        try:
            self.tag_run(mlflow_run_id, tags)
        except MlflowException as error:
            # A run that was marked as deleted takes no tags.
            if error.error_code not in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
                raise

    def finish_run(self, mlflow_run_id: str, tags: Mapping[str, str]) -> None:
        """Mark a run finished, with tags."""
        self.tag_run(mlflow_run_id, tags)
        self._client.set_terminated(mlflow_run_id)

    def champion(self) -> int | None:
        """The version that the alias ``champion`` names; None before the first promotion."""
        return self._aliases().get(CHAMPION)

    def versions_of(self, candidate: Contender) -> list[int]:
        """The numbers that were claimed for a candidate, ascending; not those of an earlier training in its run."""
        wanted = (candidate.run_id, candidate.name, candidate.mlflow_run_id)
        found = self._model_versions()
        return sorted(
            int(one.version)
            for one in found
            if (one.tags.get(RUN_TAG), one.tags.get(VARIANT_TAG), one.run_id) == wanted
        )

    def claim_version(self, candidate: Contender, source: str, above: int) -> int:
        """Claim a new version number for a candidate.

        Args:
            candidate: what is to be published.
            source: URI of its files.
            above: the highest number that must not be used again. A registry that was set up anew counts from 1, and
                one whose newest version was deleted uses its number again: what lies in between is claimed and left.
        """
        self._ensure_model()
        tags = {RUN_TAG: candidate.run_id, VARIANT_TAG: candidate.name}
        while True:
            created = self._client.create_model_version(
                self._settings.model_name, source, run_id=candidate.mlflow_run_id, tags=tags | {STATE_TAG: "claimed"}
            )
            if int(created.version) > above:
                return int(created.version)
            self._client.set_model_version_tag(created.name, created.version, STATE_TAG, "taken before")

    def versions(self) -> dict[tuple[str, str], tuple[int, ...]]:
        """The published versions, ascending, by run and variant."""
        published = [version for version in self._model_versions() if version.tags.get(STATE_TAG) == "published"]
        found: dict[tuple[str, str], tuple[int, ...]] = {}
        for one in sorted(published, key=lambda version: int(version.version)):
            key = one.tags[RUN_TAG], one.tags[VARIANT_TAG]
            found[key] = (*found.get(key, ()), int(one.version))
        return found

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

    def record_published(self, version: int, reason: str, tags: Mapping[str, str]) -> None:
        """Mark a version whose files are all in the store, and say more of it in tags of Quartet's."""
        name = self._settings.model_name
        self._client.update_model_version(name, str(version), description=reason[:MAX_TAG])
        for tag, value in {**tags, "state": "published"}.items():
            self._client.set_model_version_tag(name, str(version), f"{TAG}{tag}", value[:MAX_TAG])

    def point_aliases(self, champion: int | None, challenger: int | None) -> None:
        """Make the aliases name what the record of what serves says; None takes an alias away.

        A registry that was set up anew does not know the versions of before: no alias names these, and the log says so.
        """
        name, aliases = self._settings.model_name, self._aliases()
        for alias, wanted in ((CHAMPION, champion), (CHALLENGER, challenger)):
            version = wanted
            if wanted is not None and wanted != aliases.get(alias) and not self._knows(wanted):
                log.warning("%s does not know version %d, the %s", self._settings.tracking_uri, wanted, alias)
                version = None
            if version is None and alias in aliases:
                self._client.delete_registered_model_alias(name, alias)
            elif version is not None and aliases.get(alias) != version:
                self._client.set_registered_model_alias(name, alias, str(version))

    def aliases(self) -> dict[str, int]:
        """The versions that aliases name, whoever set them."""
        return self._aliases()

    def record_removed(self, version: int, reason: str) -> None:
        """Say of a version that its files are gone; its number stays taken. One that is not known is left alone."""
        if self._knows(version):
            name = self._settings.model_name
            self._client.update_model_version(name, str(version), description=reason[:MAX_TAG])
            self._client.set_model_version_tag(name, str(version), STATE_TAG, "removed")

    def _knows(self, version: int) -> bool:
        return any(int(one.version) == version for one in self._model_versions())

    def _aliases(self) -> dict[str, int]:
        from mlflow.exceptions import MlflowException

        try:
            model = self._client.get_registered_model(self._settings.model_name)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return {}
            raise
        return {alias: int(version) for alias, version in model.aliases.items()}

    def _model_versions(self) -> Iterator[Any]:
        token = None
        while True:
            page = self._client.search_model_versions(f"name='{self._settings.model_name}'", page_token=token)
            yield from page
            token = page.token
            if not token:
                return

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


def tracking_page(tracking_uri: str, experiment_id: str, mlflow_run_id: str) -> str | None:
    """Address of a run's page at the tracking server; None where it has no pages, being a file or a database."""
    parts = urlsplit(tracking_uri)
    if parts.scheme not in {"http", "https"}:
        return None
    # The address may carry a user and a password, which are for programs.
    server = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/")
    return f"{server}/#/experiments/{experiment_id}/runs/{mlflow_run_id}"


@functools.cache
def _client(tracking_uri: str, _process: int) -> Any:
    """One for each process: to open a tracking database takes half a second, and its connections survive no fork."""
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
