"""Counters and histograms in Prometheus's text format, with TensorFlow Serving's names.

Written by hand: prometheus_client insists on ``_total`` at the end of a counter's name, and on HELP lines.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from bisect import bisect_left
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from serving.server.status import Code, StatusError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["ServerMetrics"]

#: Series of one metric at most: model names come from requests, and a series for each would fill the memory.
MAX_SERIES = 500
OVERFLOW = "other"


def _exponential(scale: float, factor: float, count: int) -> tuple[float, ...]:
    """Upper limits of buckets; TensorFlow's monitoring adds the infinite one to these."""
    return tuple(scale * factor**power for power in range(count))


#: Microseconds, 33 buckets up to 20 minutes.
LATENCY = _exponential(10, 1.8, 33)
#: Microseconds, 52 buckets up to a second.
QUEUING = _exponential(100, 1.2, 52)
EXAMPLES = _exponential(1, 2, 15)


class _Metric:
    def __init__(self, name: str, kind: str, labels: Sequence[str]) -> None:
        self.name = name
        self._kind = kind
        self._labels = tuple(labels)
        self._lock = threading.Lock()

    def lines(self) -> Iterator[str]:
        yield f"# TYPE {self.name} {self._kind}"

    def _named(self, values: Sequence[str]) -> str:
        return ",".join(f'{label}="{_escape(value)}"' for label, value in zip(self._labels, values, strict=True))

    def _bounded(self, values: tuple[str, ...], known: int) -> tuple[str, ...]:
        return values if known < MAX_SERIES else (OVERFLOW, *values[1:])


class Counter(_Metric):
    """Counts, by the values of labels."""

    def __init__(self, name: str, *labels: str) -> None:
        super().__init__(name, "counter", labels)
        self._counts: dict[tuple[str, ...], int] = {}

    def add(self, *values: str, count: int = 1) -> None:
        """Raise the count of a series."""
        with self._lock:
            key = values if values in self._counts else self._bounded(values, len(self._counts))
            self._counts[key] = self._counts.get(key, 0) + count

    @property
    def total(self) -> int:
        """The sum of all series."""
        with self._lock:
            return sum(self._counts.values())

    def lines(self) -> Iterator[str]:
        """The metric in text, its type first."""
        yield from super().lines()
        with self._lock:
            counts = sorted(self._counts.items())
        for values, count in counts:
            yield f"{self.name}{{{self._named(values)}}} {count}"


class Histogram(_Metric):
    """Counts by buckets of a value, by the values of labels."""

    def __init__(self, name: str, limits: Sequence[float], *labels: str) -> None:
        super().__init__(name, "histogram", labels)
        self._limits = tuple(limits)
        self._series: dict[tuple[str, ...], tuple[list[int], list[float]]] = {}

    def observe(self, value: float, *values: str) -> None:
        """Count a value in a series."""
        # A bucket of TensorFlow's holds what is below its limit, and Prometheus's what is not above it: they differ
        # for a value that equals a limit, as the number of examples does.
        bucket = bisect_left(self._limits, value)
        with self._lock:
            key = values if values in self._series else self._bounded(values, len(self._series))
            counts, total = self._series.setdefault(key, ([0] * (len(self._limits) + 1), [0.0]))
            counts[bucket] += 1
            total[0] += value

    def lines(self) -> Iterator[str]:
        """The metric in text, its type first."""
        yield from super().lines()
        with self._lock:
            series = [(values, list(counts), total[0]) for values, (counts, total) in sorted(self._series.items())]
        for values, counts, total in series:
            labels = self._named(values)
            cumulative = 0
            for limit, count in zip([*(f"{limit:.6g}" for limit in self._limits), "+Inf"], counts, strict=True):
                cumulative += count
                yield f'{self.name}_bucket{{{labels},le="{limit}"}} {cumulative}'
            yield f"{self.name}_sum{{{labels}}} {total:.17g}"
            yield f"{self.name}_count{{{labels}}} {cumulative}"


class ServerMetrics:
    """The metrics of one server.

    Attributes:
        request_count: requests by model and status, of both protocols.
        request_latency: microseconds of those that succeeded, by model, API and entry point.
        runtime_latency: microseconds of TensorFlow's part, by model, API and runtime.
        warmup_latency: microseconds of a version's warm-up, by its folder and status.
        example_counts: examples of a classify, regress or multi-inference request, by model.
        example_count: the same summed up.
        queuing_latency: microseconds that a request waited for its batch, by name of the batch threads.
    """

    def __init__(self) -> None:
        root = ":tensorflow:serving:"
        self.request_count = Counter(root + "request_count", "model_name", "status")
        self.request_latency = Histogram(root + "request_latency", LATENCY, "model_name", "API", "entrypoint")
        self.runtime_latency = Histogram(root + "runtime_latency", LATENCY, "model_name", "API", "runtime")
        self.warmup_latency = Histogram(root + "model_warmup_latency", LATENCY, "model_path", "status")
        self.example_counts = Histogram(root + "request_example_counts", EXAMPLES, "model")
        self.example_count = Counter(root + "request_example_count_total", "model")
        self.queuing_latency = Histogram(root + "batching_session:queuing_latency", QUEUING, "thread_pool_name")

    @contextmanager
    def request(self, model: str, api: str, entry_point: str) -> Iterator[None]:
        """Count a request and, if it succeeds, its time."""
        started = time.monotonic()
        try:
            yield
        except StatusError as error:
            self.request_count.add(model, error.code.name)
            raise
        except asyncio.CancelledError:
            self.request_count.add(model, Code.CANCELLED.name)
            raise
        except BaseException:
            self.request_count.add(model, Code.INTERNAL.name)
            raise
        self.request_count.add(model, Code.OK.name)
        self.request_latency.observe((time.monotonic() - started) * 1e6, model, api, entry_point)

    def observe_wait(self, threads: str, seconds: float) -> None:
        """Record how long a request waited for the batch threads of a name."""
        self.queuing_latency.observe(seconds * 1e6, threads)

    def count_examples(self, model: str, count: int) -> None:
        """Count the examples of a request that was answered."""
        self.example_counts.observe(count, model)
        self.example_count.add(model, count=count)

    def totals(self) -> dict[str, int]:
        """The sum of each counter, by its name with TensorFlow's slashes."""
        counters = (self.request_count, self.example_count)
        return {counter.name.replace(":", "/"): counter.total for counter in counters}

    def page(self) -> str:
        """All metrics in Prometheus's text format, with this process's resident memory besides."""
        metrics = (
            self.request_count,
            self.request_latency,
            self.runtime_latency,
            self.warmup_latency,
            self.example_counts,
            self.example_count,
            self.queuing_latency,
        )
        lines = [line for metric in sorted(metrics, key=lambda metric: metric.name) for line in metric.lines()]
        lines += ["# TYPE process_resident_memory_bytes gauge", f"process_resident_memory_bytes {_resident_bytes()}"]
        return "\n".join(lines) + "\n"


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
