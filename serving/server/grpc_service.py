"""PredictionService over gRPC."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from google.protobuf import any_pb2  # type: ignore[import-untyped]
from tensorflow_serving.apis import get_model_metadata_pb2, predict_pb2, prediction_service_pb2_grpc

from serving.server.grpc_answers import answer, check_spec, spec_version
from serving.server.model import DEFAULT_SIGNATURE
from serving.server.signatures import refuse_examples
from serving.server.status import Code, StatusError
from serving.server.tensors import to_proto

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import grpc

    from serving.server.catalog import ModelCatalog
    from serving.server.model import LoadedModel

__all__ = ["PredictionService"]


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):  # type: ignore[misc]
    """Predict and GetModelMetadata."""

    def __init__(self, catalog: ModelCatalog) -> None:
        self._catalog = catalog

    def Predict(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802 - the protocol's name
        """Run a signature."""
        return answer(context, lambda: self._predict(request))

    def GetModelMetadata(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802 - the protocol's name
        """The signatures of a version."""
        return answer(context, lambda: self._metadata(request))

    def Classify(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802 - the protocol's name
        """Refused: see `refuse_examples`."""
        return answer(context, lambda: self._refuse_examples(request, "classify"))

    def Regress(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802 - the protocol's name
        """Refused, as Classify is."""
        return answer(context, lambda: self._refuse_examples(request, "regress"))

    def MultiInference(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: ARG002, N802 - as above
        """Not implemented."""
        return answer(context, _unimplemented("MultiInference", "Ask with one Predict request a signature"))

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


def _find(catalog: ModelCatalog, spec: Any) -> LoadedModel:
    check_spec(spec)
    label = spec.version_label if spec.HasField("version_label") else None
    return catalog.find(spec.name, spec_version(spec), label)


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
