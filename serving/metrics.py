"""Reading a model server's Prometheus metrics: requests by status, and how long they took."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import requests
from prometheus_client.parser import text_string_to_metric_families

from ml.errors import ServingError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml.config import Settings

__all__ = ["ServerMetrics", "dump_metrics", "load_metrics", "parse_metrics", "read_metrics"]

PATH = "/monitoring/prometheus/metrics"
COUNT = ":tensorflow:serving:request_count"
LATENCY = ":tensorflow:serving:request_latency_bucket"


@dataclass(frozen=True)
class ServerMetrics:
    """A model's counters since the server started.

    Attributes:
        requests: by the name of their status, e.g. ``OK`` or ``INVALID_ARGUMENT``.
        latency: answered requests that took at most so many microseconds, by that bound, cumulative.
    """

    requests: Mapping[str, int] = field(default_factory=dict)
    latency: Mapping[float, int] = field(default_factory=dict)

    #: Statuses that are the client's fault, and say nothing of the version.
    CLIENT = frozenset({"OK", "INVALID_ARGUMENT", "NOT_FOUND", "CANCELLED", "FAILED_PRECONDITION", "OUT_OF_RANGE"})

    @property
    def total(self) -> int:
        """Requests of every status."""
        return sum(self.requests.values())

    @property
    def errors(self) -> int:
        """Requests that failed through the server's fault."""
        return sum(count for status, count in self.requests.items() if status not in self.CLIENT)

    def since(self, before: ServerMetrics) -> ServerMetrics:
        """What was added since an earlier look; a server that started anew meanwhile has counted from 0."""
        if any(count < before.requests.get(status, 0) for status, count in self.requests.items()):
            return self
        counted = {status: count - before.requests.get(status, 0) for status, count in self.requests.items()}
        timed = {bound: count - before.latency.get(bound, 0) for bound, count in self.latency.items()}
        return ServerMetrics(counted, timed)

    def quantile_ms(self, share: float) -> float | None:
        """Milliseconds within which so large a share of the answered requests was answered; None without any.

        As precise as the buckets are: each bound is 1.8 times the one before.
        """
        bounds = sorted(self.latency)
        whole = self.latency[bounds[-1]] if bounds else 0
        if not whole:
            return None
        below, before = 0, 0.0
        for bound in bounds:
            count = self.latency[bound]
            if count >= share * whole:
                part = (share * whole - below) / (count - below) if count > below else 1.0
                # The last bucket has no upper bound.
                return (before + part * (bound - before) if bound != float("inf") else before) / 1000
            below, before = count, bound
        return before / 1000


def parse_metrics(text: str, model_name: str) -> ServerMetrics:
    """A model's figures in Prometheus' text format, over all entry points and calls."""
    counted: Counter[str] = Counter()
    timed: dict[float, int] = defaultdict(int)
    samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    for sample in samples:
        if sample.labels.get("model_name") != model_name:
            continue
        # The library gives every counter the ending that OpenMetrics wants.
        if sample.name.removesuffix("_total") == COUNT:
            counted[sample.labels.get("status", "")] += int(sample.value)
        elif sample.name == LATENCY:
            timed[float(sample.labels["le"])] += int(sample.value)
    return ServerMetrics(dict(counted), dict(timed))


def read_metrics(settings: Settings) -> ServerMetrics | None:
    """What the configured server shows now; None when it shows no metrics, which is a flag of the server.

    Raises:
        ServingError: it does not answer.
    """
    serving = settings.serving
    url = f"http://{serving.host}:{serving.rest_port}{PATH}"
    with requests.Session() as session:
        session.trust_env = False
        try:
            answer = session.get(url, timeout=serving.timeout_seconds)
        except requests.RequestException as error:
            remedy = "Is the model server up? See `make status`."
            raise ServingError(f"{url} does not answer: {error}.", remedy) from error
    # TensorFlow Serving without --monitoring_config_file.
    return parse_metrics(answer.text, settings.model_name) if answer.status_code == requests.codes.ok else None


def dump_metrics(metrics: ServerMetrics) -> dict[str, Any]:
    """As JSON has it; bounds are texts, since the last one is infinite."""
    return {
        "requests": dict(metrics.requests),
        "latency": {repr(bound): count for bound, count in metrics.latency.items()},
    }


def load_metrics(document: Mapping[str, Any]) -> ServerMetrics:
    """From what :func:`dump_metrics` wrote."""
    return ServerMetrics(document["requests"], {float(bound): count for bound, count in document["latency"].items()})
