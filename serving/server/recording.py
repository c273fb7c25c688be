"""What the metrics are told about a request."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from serving.server.metrics import ServerMetrics
    from serving.server.model import LoadedModel
    from serving.server.run_limit import RunLimit

__all__ = ["timed_run"]

#: TensorFlow Serving's name for the runtime of ordinary graphs; dashboards select by it.
RUNTIME = "TF1"


def timed_run(
    model: LoadedModel, name: str, api: str, metrics: ServerMetrics, limit: RunLimit
) -> Callable[[str, Mapping[str, NDArray[Any]]], dict[str, NDArray[Any]]]:
    """:meth:`serving.server.model.LoadedModel.run` with its time recorded, its wait for a batch included.

    Args:
        model: whose signatures it runs.
        name: of the model.
        api: as the protocol spells it, e.g. ``Predict`` over gRPC and ``predict`` over REST.
        metrics: of the server.
        limit: of the request.
    """

    def run(signature: str, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        started = time.monotonic()
        with limit.apply():
            outputs = model.run(signature, inputs, limit.deadline)
        metrics.runtime_latency.observe((time.monotonic() - started) * 1e6, name, api, RUNTIME)
        return outputs

    return run
