"""One loaded version: its signatures as functions from arrays to arrays."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from serving.server.batching import Batcher
from serving.server.batching_parameters import MODEL_FILE, read_parameters
from serving.server.metrics import ServerMetrics
from serving.server.signatures import Signature
from serving.server.status import Code, StatusError, graph_error
from serving.server.warmup import WarmUp

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from serving.server.batch_queue import BatchScheduler
    from serving.server.batching_parameters import BatchingParameters

__all__ = ["Batching", "LoadedModel", "Loading", "load_model"]

SERVE_TAG = "serve"


@dataclass(frozen=True)
class Batching:
    """How the models of a server form batches.

    Attributes:
        scheduler: runs them.
        parameters: of models that have none of their own.
        per_model: whether a version's ``batching_params.pbtxt`` decides; one without that file is not batched.
        metrics: get the time that requests wait.
    """

    scheduler: BatchScheduler
    parameters: BatchingParameters
    per_model: bool = False
    metrics: ServerMetrics = field(default_factory=ServerMetrics)


@dataclass(frozen=True)
class Loading:
    """How versions are loaded: the tags of their graph, their batches and their warm-up."""

    tags: tuple[str, ...] = (SERVE_TAG,)
    batching: Batching | None = None
    warm_up: WarmUp = field(default_factory=WarmUp)


@dataclass(frozen=True)
class LoadedModel:
    """A version in memory. A request holds it while it runs, whatever is unloaded meanwhile.

    ``functions`` are the signatures that can be called; ``signatures`` the definitions of these and of internal ones.
    """

    version: int
    functions: Mapping[str, Signature]
    signatures: Mapping[str, meta_graph_pb2.SignatureDef]
    restored: Any  # owns the variables that the functions read
    batchers: Mapping[str, Batcher] = field(default_factory=dict)

    def function(self, name: str) -> Signature:
        """A signature that can be called.

        Raises:
            StatusError: FAILED_PRECONDITION when the model has none of that name.
        """
        if name not in self.functions:
            raise StatusError(Code.FAILED_PRECONDITION, f'Serving signature key "{name}" not found.')
        return self.functions[name]

    def signature(self, name: str) -> meta_graph_pb2.SignatureDef:
        """A signature's definition; raises as :meth:`function`."""
        return self.function(name).definition

    def parse(self, name: str, inputs: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
        """Arrays of a request's TensorProtos.

        Raises:
            StatusError: names or types do not fit, or there is no such signature.
        """
        return self.function(name).parse(inputs)

    def run(self, name: str, inputs: Mapping[str, Any], deadline: float | None = None) -> dict[str, NDArray[Any]]:
        """Call a signature, in a batch with other requests if this server forms batches.

        Args:
            name: of the signature.
            inputs: arrays by the signature's input names, strings as object arrays of bytes.
            deadline: ``time.monotonic()`` after which nobody waits for the answer.

        Returns:
            Arrays by output name; strings are object arrays of bytes.

        Raises:
            StatusError: names, types or shapes do not fit, the graph refuses the values, or what
                :meth:`serving.server.batching.Batcher.run` raises.
        """
        function = self.function(name)
        arrays = function.check(inputs)
        batcher = self.batchers.get(name)
        return function.call(arrays) if batcher is None else batcher.run(arrays, deadline)


def load_model(folder: Path, version: int, loading: Loading | None = None) -> LoadedModel:
    """Load a SavedModel and run its warm-up requests; whatever fails, fails the load.

    Raises:
        StatusError: NOT_FOUND for a file that is missing, DATA_LOSS or OUT_OF_RANGE for one that is cut short, else
            what TensorFlow or a warm-up request says.
        ServingError: the version's batching parameters are wrong.
    """
    loading = loading or Loading()
    restored = _restore(folder, loading.tags)
    definitions = _definitions(folder, loading.tags)
    functions = {name: Signature(definitions[name], function) for name, function in restored.signatures.items()}
    batchers = _batchers(folder, functions, loading.batching)
    model = LoadedModel(version, functions, definitions, restored, batchers)
    loading.warm_up.run(model, folder)
    return model


def _restore(folder: Path, tags: tuple[str, ...]) -> Any:
    try:
        return tf.saved_model.load(str(folder), tags=list(tags))
    except tf.errors.OpError as error:
        raise graph_error(error.error_code, error.message) from error
    except IndexError as error:  # how the checkpoint reader says that a file is too short
        raise StatusError(Code.OUT_OF_RANGE, f"{folder / 'variables'}: {error}") from error
    except OSError as error:
        missing = isinstance(error, FileNotFoundError) or not (folder / "saved_model.pb").exists()
        raise StatusError(Code.NOT_FOUND if missing else Code.DATA_LOSS, str(error)) from error


def _definitions(folder: Path, tags: tuple[str, ...]) -> dict[str, meta_graph_pb2.SignatureDef]:
    saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    graph = next(graph for graph in saved.meta_graphs if set(tags) == set(graph.meta_info_def.tags))
    return dict(graph.signature_def)


def _batchers(folder: Path, functions: Mapping[str, Signature], batching: Batching | None) -> dict[str, Batcher]:
    if batching is None:
        return {}
    parameters = batching.parameters
    if batching.per_model:
        path = folder / MODEL_FILE
        if not path.exists():
            return {}
        parameters = read_parameters(path)
    record = partial(batching.metrics.observe_wait, batching.parameters.thread_pool_name)
    return {
        # Not a method of the model: a model that its own batches hold would outlive its unloading.
        name: Batcher(batching.scheduler, parameters, function.call, record)
        for name, function in functions.items()
    }
