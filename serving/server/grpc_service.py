"""The gRPC side: PredictionService and ModelService."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf import any_pb2  # type: ignore[import-untyped]
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from serving.server.model import DEFAULT_SIGNATURE
from serving.server.signatures import refuse_examples
from serving.server.status import Code, StatusError
from serving.server.tensors import to_proto

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import ThreadPoolExecutor

    from serving.server.catalog import ModelCatalog
    from serving.server.model import LoadedModel

__all__ = ["build_grpc_server"]

log = logging.getLogger(__name__)

MAX_MESSAGE_BYTES = 2**31 - 1
MAX_ERROR_CHARACTERS = 1024
STATUS_CODES = {code.value[0]: code for code in grpc.StatusCode}


def build_grpc_server(catalog: ModelCatalog, pool: ThreadPoolExecutor) -> grpc.Server:
    """A server with both services, not bound to a port yet; the pool bounds how many requests run at a time."""
    options = [
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        # Two servers on one port would share its requests in silence.
        ("grpc.so_reuseport", 0),
    ]
    server = grpc.server(pool, options=options)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(_PredictionService(catalog), server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(_ModelService(catalog), server)
    return server


class _PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):  # type: ignore[misc]
    def __init__(self, catalog: ModelCatalog) -> None:
        self._catalog = catalog

    def Predict(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802 - the protocol's name
        return _answer(context, lambda: self._predict(request))

    def GetModelMetadata(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802 - the protocol's name
        return _answer(context, lambda: self._metadata(request))

    def Classify(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802 - the protocol's name
        return _answer(context, lambda: self._refuse_examples(request, "classify"))

    def Regress(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802 - the protocol's name
        return _answer(context, lambda: self._refuse_examples(request, "regress"))

    def MultiInference(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: ARG002, N802 - as above
        return _answer(context, _unimplemented("MultiInference", "Ask with one Predict request a signature"))

    def _predict(self, request: Any) -> Any:
        model = _find(self._catalog, request.model_spec)
        name = request.model_spec.signature_name or DEFAULT_SIGNATURE
        inputs = model.parse(name, request.inputs)
        wanted = _filtered(list(model.signature(name).outputs), list(request.output_filter))
        outputs = model.run(name, inputs)
        response = predict_pb2.PredictResponse()
        response.model_spec.name = request.model_spec.name
        response.model_spec.version.value = model.version
        response.model_spec.signature_name = name
        for key in wanted:
            response.outputs[key].CopyFrom(to_proto(outputs[key]))
        return response

    def _metadata(self, request: Any) -> Any:
        fields = list(request.metadata_field)
        if not fields or set(fields) != {"signature_def"}:
            raise StatusError(
                Code.INVALID_ARGUMENT, f"The metadata fields {fields} are asked for; there is only signature_def"
            )
        model = _find(self._catalog, request.model_spec)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        for name, definition in model.signatures.items():
            signatures.signature_def[name].CopyFrom(definition)
        packed = any_pb2.Any()
        packed.Pack(signatures)
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        response.model_spec.name = request.model_spec.name
        response.model_spec.version.value = model.version
        response.metadata["signature_def"].CopyFrom(packed)
        return response

    def _refuse_examples(self, request: Any, verb: str) -> Any:
        model = _find(self._catalog, request.model_spec)
        raise refuse_examples(model, request.model_spec.signature_name or DEFAULT_SIGNATURE, verb)


class _ModelService(model_service_pb2_grpc.ModelServiceServicer):  # type: ignore[misc]
    def __init__(self, catalog: ModelCatalog) -> None:
        self._catalog = catalog

    def GetModelStatus(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802 - the protocol's name
        return _answer(context, lambda: self._status(request))

    def HandleReloadConfigRequest(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: ARG002, N802
        return _answer(context, _unimplemented("HandleReloadConfigRequest", "Restart this server with other flags"))

    def _status(self, request: Any) -> Any:
        _check_spec(request.model_spec)
        response = get_model_status_pb2.GetModelStatusResponse()
        for state in self._catalog.states(request.model_spec.name, _version(request.model_spec)):
            entry = response.model_version_status.add(version=state.version, state=int(state.state))
            entry.status.error_code = int(state.code)
            entry.status.error_message = state.message
        return response


def _find(catalog: ModelCatalog, spec: Any) -> LoadedModel:
    _check_spec(spec)
    label = spec.version_label if spec.HasField("version_label") else None
    return catalog.find(spec.name, _version(spec), label)


def _version(spec: Any) -> int | None:
    return int(spec.version.value) if spec.HasField("version") else None


def _check_spec(spec: Any) -> None:
    if not spec.ByteSize():
        raise StatusError(Code.INVALID_ARGUMENT, "Missing ModelSpec")
    if not spec.name:
        raise StatusError(Code.INVALID_ARGUMENT, "ModelSpec has no name specified.")


def _filtered(outputs: Sequence[str], wanted: Sequence[str]) -> Sequence[str]:
    for name in wanted:
        if name not in outputs:
            raise StatusError(
                Code.INVALID_ARGUMENT,
                f"output tensor alias not found in signature: {name}; it has {{{', '.join(sorted(outputs))}}}",
            )
        if wanted.count(name) > 1:
            raise StatusError(Code.INVALID_ARGUMENT, f"duplicate output tensor alias: {name}")
    return wanted or outputs


def _unimplemented(call: str, instead: str) -> Callable[[], Any]:
    def refuse() -> Any:
        raise StatusError(Code.UNIMPLEMENTED, f"This server does not implement {call}. {instead}, or use another one.")

    return refuse


def _answer(context: grpc.ServicerContext, work: Callable[[], Any]) -> Any:
    if not context.is_active():
        # Its deadline passed in the queue: nobody would read the answer.
        context.abort(grpc.StatusCode.CANCELLED, "The request was given up before it could run")
    try:
        return work()
    except StatusError as error:
        context.abort(STATUS_CODES[int(error.code)], _cut(error.message))
    except Exception as error:
        log.exception("a gRPC request failed")
        context.abort(grpc.StatusCode.INTERNAL, _cut(f"{type(error).__name__}: {error}"))


def _cut(message: str) -> str:
    return message if len(message) <= MAX_ERROR_CHARACTERS else message[:MAX_ERROR_CHARACTERS] + "...TRUNCATED"
