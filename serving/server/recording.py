"""What the metrics are told about a request."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from serving.server.status import Code, StatusError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from serving.server.metrics import ServerMetrics
    from serving.server.model import LoadedModel

__all__ = ["timed_run"]

#: TensorFlow Serving's name for the runtime of ordinary graphs; dashboards select by it.
RUNTIME = "TF1"


def timed_run(
    model: LoadedModel, name: str, api: str, metrics: ServerMetrics, deadline: float | None
) -> Callable[[str, Mapping[str, NDArray[Any]]], dict[str, NDArray[Any]]]:
    """:meth:`serving.server.model.LoadedModel.run` with its time recorded, its wait for a batch included.

    Args:
        model: whose signatures it runs.
        name: of the model.
        api: as the protocol spells it, e.g. ``Predict`` over gRPC and ``predict`` over REST.
        metrics: of the server.
        deadline: ``time.monotonic()`` after which nobody waits for the answer.
    """

    def run(signature: str, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        started = time.monotonic()
        if deadline is not None and started >= deadline:
            raise StatusError(Code.DEADLINE_EXCEEDED, "The request's time passed before it could run")
        outputs = model.run(signature, inputs, deadline)
        metrics.runtime_latency.observe((time.monotonic() - started) * 1e6, name, api, RUNTIME)
        return outputs

    return run
