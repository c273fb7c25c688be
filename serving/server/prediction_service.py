"""PredictionService over gRPC."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Any

from google.protobuf import any_pb2  # type: ignore[import-untyped]
from tensorflow_serving.apis import get_model_metadata_pb2, model_pb2, prediction_service_pb2_grpc

from serving.server import inference
from serving.server.grpc_answers import answer, check_spec, spec_version
from serving.server.observed import unobserved
from serving.server.recording import timed_run
from serving.server.run_limit import RunLimit
from serving.server.status import Code, StatusError

if TYPE_CHECKING:
    from collections.abc import Callable

    import grpc

    from serving.server.catalog import ModelCatalog
    from serving.server.metrics import ServerMetrics
    from serving.server.model import LoadedModel

__all__ = ["PredictionService"]

#: Metadata by which clients say that a call only tries the server.
PROBE = "x-quartet-probe"


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):  # type: ignore[misc]
    """Predict, Classify, Regress, MultiInference and GetModelMetadata.

    Args:
        catalog: of the models served.
        metrics: of the server.
        as_content: whether Predict answers numbers as raw content.
    """

    def __init__(self, catalog: ModelCatalog, metrics: ServerMetrics, as_content: bool = False) -> None:
        self._catalog = catalog
        self._metrics = metrics
        self._predict = partial(inference.predict, as_content=as_content)

    def Predict(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802 - the protocol's name
        """The outputs of a signature."""
        return self._infer("Predict", self._predict, request, request.model_spec, context)

    def Classify(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802 - the protocol's name
        """Labels and scores of examples."""
        return self._infer("Classify", inference.classify, request, request.model_spec, context)

    def Regress(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802 - the protocol's name
        """A value for each example."""
        return self._infer("Regress", inference.regress, request, request.model_spec, context)

    def MultiInference(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802 - as above
        """Several signatures on the same examples."""
        spec = request.tasks[0].model_spec if request.tasks else model_pb2.ModelSpec()
        return self._infer("MultiInference", inference.multi_inference, request, spec, context)

    def GetModelMetadata(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802 - the protocol's name
        """The definitions of a model's signatures."""
        return answer(context, lambda: self._metadata(request))

    def _infer(self, api: str, work: Callable[..., Any], request: Any, spec: Any, context: grpc.ServicerContext) -> Any:
        remaining = context.time_remaining()
        # Without a deadline gRPC tells of some hundred billion years, which no wait takes.
        limit = RunLimit(None if remaining is None or remaining > threading.TIMEOUT_MAX else remaining)
        # Also called at the end of a call that went well, which does no harm.
        context.add_callback(limit.give_up)
        examples = None if api == "Predict" else request.input

        def infer() -> Any:
            with self._metrics.request(spec.name, api, "GRPC"), unobserved(_is_probe(context)):
                model = self._find(spec)
                response = work(model, request, timed_run(model, spec.name, api, self._metrics, limit))
                if examples is not None:
                    self._metrics.count_examples(spec.name, _count(examples))
                return response

        return answer(context, infer)

    def _metadata(self, request: Any) -> Any:
        fields = list(request.metadata_field)
        if not fields or set(fields) != {"signature_def"}:
            raise StatusError(
                Code.INVALID_ARGUMENT, f"The metadata fields {fields} are asked for; there is only signature_def"
            )
        model = self._find(request.model_spec)
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

    def _find(self, spec: Any) -> LoadedModel:
        check_spec(spec)
        label = spec.version_label if spec.HasField("version_label") else None
        return self._catalog.find(spec.name, spec_version(spec), label)


def _is_probe(context: grpc.ServicerContext) -> bool:
    return any(key == PROBE for key, _ in context.invocation_metadata())


def _count(sent: Any) -> int:
    kind = sent.WhichOneof("kind")
    return len(getattr(sent, kind).examples) if kind else 0
