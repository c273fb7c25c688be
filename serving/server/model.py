"""One loaded version: its signatures as functions from arrays to arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from serving.server.status import Code, StatusError, graph_error
from serving.server.tensors import from_proto, type_name
from serving.server.warmup import warm_up

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["DEFAULT_SIGNATURE", "LoadedModel", "load_model"]

DEFAULT_SIGNATURE = "serving_default"
SERVE_TAG = "serve"


@dataclass(frozen=True)
class LoadedModel:
    """A version in memory. A request holds it while it runs, whatever is unloaded meanwhile.

    ``functions`` are the signatures that can be called; ``signatures`` the definitions of these and of internal ones.
    """

    version: int
    functions: Mapping[str, Any]
    signatures: Mapping[str, meta_graph_pb2.SignatureDef]
    restored: Any  # owns the variables that the functions read

    def signature(self, name: str) -> meta_graph_pb2.SignatureDef:
        """A signature's definition.

        Raises:
            StatusError: FAILED_PRECONDITION when the model has none of that name.
        """
        if name not in self.functions:
            raise StatusError(Code.FAILED_PRECONDITION, f'Serving signature key "{name}" not found.')
        return self.signatures[name]

    def parse(self, name: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Tensors of a request's TensorProtos.

        Raises:
            StatusError: names, types or shapes do not fit, or there is no such signature.
        """
        definition = self.signature(name)
        _check_names(set(inputs), set(definition.inputs))
        return {key: from_proto(key, value, definition.inputs[key].dtype) for key, value in inputs.items()}

    def run(self, name: str, inputs: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
        """Call a signature.

        Args:
            name: of the signature.
            inputs: tensors or arrays by the signature's input names.

        Returns:
            Arrays by output name; strings are object arrays of bytes.

        Raises:
            StatusError: names, types or shapes do not fit, or the graph refuses the values.
        """
        definition = self.signature(name)
        _check_names(set(inputs), set(definition.inputs))
        tensors = {key: _tensor(key, value, definition.inputs[key]) for key, value in inputs.items()}
        try:
            outputs = self.functions[name](**tensors)
        except tf.errors.OpError as error:
            raise graph_error(error.error_code, error.message) from error
        except (TypeError, ValueError) as error:
            raise StatusError(Code.INVALID_ARGUMENT, str(error)) from error
        return {key: _array(value) for key, value in outputs.items()}


def load_model(folder: Path, version: int) -> LoadedModel:
    """Load a SavedModel and run its warm-up requests; whatever fails, fails the load.

    Raises:
        StatusError: NOT_FOUND for a file that is missing, DATA_LOSS or OUT_OF_RANGE for one that is cut short, else
            what TensorFlow or a warm-up request says.
    """
    try:
        restored = tf.saved_model.load(str(folder), tags=[SERVE_TAG])
    except tf.errors.OpError as error:
        raise graph_error(error.error_code, error.message) from error
    except IndexError as error:  # how the checkpoint reader says that a file is too short
        raise StatusError(Code.OUT_OF_RANGE, f"{folder / 'variables'}: {error}") from error
    except OSError as error:
        missing = isinstance(error, FileNotFoundError) or not (folder / "saved_model.pb").exists()
        raise StatusError(Code.NOT_FOUND if missing else Code.DATA_LOSS, str(error)) from error
    functions = dict(restored.signatures)
    model = LoadedModel(version, functions, _definitions(folder), restored)
    warm_up(model, folder)
    return model


def _definitions(folder: Path) -> dict[str, meta_graph_pb2.SignatureDef]:
    saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    graph = next(graph for graph in saved.meta_graphs if SERVE_TAG in graph.meta_info_def.tags)
    return dict(graph.signature_def)


def _check_names(sent: set[str], wanted: set[str]) -> None:
    if sent != wanted:
        extra, missing = (", ".join(sorted(names)) for names in (sent - wanted, wanted - sent))
        raise StatusError(
            Code.INVALID_ARGUMENT,
            f"The inputs do not match the signature's. Sent extra: {{{extra}}}. Missing but required: {{{missing}}}.",
        )


def _tensor(name: str, value: Any, info: meta_graph_pb2.TensorInfo) -> Any:
    wanted = tf.dtypes.as_dtype(info.dtype)
    tensor = value if tf.is_tensor(value) else tf.constant(value)
    if tensor.dtype != wanted:
        sent = type_name(tensor.dtype.as_datatype_enum)
        raise StatusError(
            Code.INVALID_ARGUMENT, f"Input {name} is expected to be {type_name(info.dtype)} but {sent} is provided"
        )
    shape = tf.TensorShape(info.tensor_shape)
    if not shape.is_compatible_with(tensor.shape):
        sizes = [-1 if size is None else size for size in shape]
        raise StatusError(
            Code.INVALID_ARGUMENT,
            f"Input {name} is expected to have the shape {sizes} but {tensor.shape.as_list()} is provided",
        )
    return tensor


def _array(tensor: Any) -> NDArray[Any]:
    # A scalar string comes as bytes, which numpy would make an array of fixed width and cut trailing zeros of.
    return np.asarray(tensor.numpy(), dtype=object if tensor.dtype == tf.string else None)
