"""What answers predictions, put together from the server's options."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ml.errors import ServingError
from serving.server.batch_queue import BatchScheduler
from serving.server.batching_parameters import BatchingParameters, read_parameters
from serving.server.metrics import ServerMetrics
from serving.server.model import Batching, Loading, load_model
from serving.server.monitoring import read_monitoring_path
from serving.server.prediction_service import PredictionService
from serving.server.rest import RestApplication
from serving.server.warmup import WarmUp

if TYPE_CHECKING:
    from concurrent.futures import Executor
    from pathlib import Path

    from serving.server.catalog import ModelCatalog
    from serving.server.model import LoadedModel
    from serving.server.options import ServerOptions

__all__ = ["DataPlane"]


class DataPlane:
    """Loads models and makes what answers for them; they share their metrics and the threads that run batches.

    Raises:
        ServingError: the monitoring or the batching file is wrong, or there is a batching file without
            ``--enable_batching``.
    """

    def __init__(self, options: ServerOptions) -> None:
        self.metrics = ServerMetrics()
        self._options = options
        self._metrics_path = read_monitoring_path(options.monitoring_config_file)
        parameters = _batching_parameters(options)
        self._scheduler = None if parameters is None else BatchScheduler(parameters.thread_count)
        self._load = partial(load_model, loading=self._loading(parameters))

    def load(self, folder: Path, version: int) -> LoadedModel:
        """Load a version as the options say; raises as :func:`serving.server.model.load_model`."""
        return self._load(folder, version)

    def prediction_service(self, catalog: ModelCatalog) -> PredictionService:
        """What answers predictions over gRPC."""
        return PredictionService(catalog, self.metrics, self._options.serialize_as_tensor_content)

    def rest_application(self, catalog: ModelCatalog, executor: Executor) -> RestApplication:
        """What answers over REST; predictions run in the executor."""
        return RestApplication(catalog, executor, self._options.rest_timeout_seconds, self.metrics, self._metrics_path)

    def close(self) -> None:
        """Refuse what waits for a batch, and end the threads that run them."""
        if self._scheduler is not None:
            self._scheduler.close()

    def _loading(self, parameters: BatchingParameters | None) -> Loading:
        options, batching = self._options, None
        if self._scheduler is not None and parameters is not None:
            per_model = options.enable_per_model_batching_parameters
            batching = Batching(self._scheduler, parameters, per_model, self.metrics)
        warm_up = WarmUp(options.enable_model_warmup, options.num_request_iterations_for_warmup, self.metrics)
        return Loading(options.saved_model_tags, batching, warm_up)


def _batching_parameters(options: ServerOptions) -> BatchingParameters | None:
    path = options.batching_parameters_file
    if not options.enable_batching:
        if path is not None:
            raise ServingError(
                f"--batching_parameters_file is {path}, but --enable_batching is not set.",
                "Give both, or leave the file out.",
            )
        return None
    return BatchingParameters() if path is None else read_parameters(path)
