"""What Prometheus is shown: all parts, each as new as it can be had."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from ml import layout
from ml.records import Records
from ml.telemetry.data import read_landing, read_snapshots
from ml.telemetry.families import FAMILIES, Sample
from ml.telemetry.models import read_models
from ml.telemetry.monitor import read_monitor
from ml.telemetry.parts import Part, PartReader, Reading

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from prometheus_client import Metric

    from ml.config import Settings
    from ml.context import Context
    from ml.telemetry.families import Family

__all__ = ["StoreCollector"]

#: For which what was read is shown.
SECONDS = 30.0
#: A listing of the landing zone takes a twentieth of the time at most.
RESTRAINT = 20.0
#: A scrape waits so long for the store; Prometheus gives up after ten seconds.
PATIENCE_SECONDS = 5.0


class StoreCollector(Collector):
    """Metrics of the configured store, read when they are asked for, at most twice a minute.

    It raises nothing: a part that cannot be read is left out, and ``quartet_exporter_part_up`` says so. What was read
    before is not shown in its place.

    Args:
        context: settings and store.
        patience: seconds that a scrape waits.
        seconds: for which what was read is shown.
    """

    def __init__(self, context: Context, patience: float = PATIENCE_SECONDS, seconds: float = SECONDS) -> None:
        self._context, self._patience = context, patience
        records = Records()
        parts = (
            Part("store", lambda: _probe(context), seconds),
            Part("models", lambda: read_models(context, records, datetime.now(UTC)), seconds),
            Part("snapshots", lambda: read_snapshots(context, records), seconds),
            Part("monitor", lambda: read_monitor(context, records), seconds),
            Part("landing", lambda: read_landing(context), seconds, RESTRAINT),
        )
        self._pool = ThreadPoolExecutor(len(parts), thread_name_prefix="telemetry")
        self._readers = [PartReader(part, self._pool) for part in parts]

    def describe(self) -> Iterable[Metric]:
        """The metrics without values: a registry asks this when a collector is added, and need not read the store."""
        return (_family(family, ()) for family in FAMILIES)

    def collect(self) -> Iterator[Metric]:
        """All that is known now."""
        samples = [*self._own(), *self._read()]
        for family in FAMILIES:
            found = [sample for sample in samples if sample.name == family.name]
            if found:
                yield _family(family, found)

    def close(self) -> None:
        """Begin no further read."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _own(self) -> Iterator[Sample]:
        settings = self._context.settings
        yield Sample("quartet_model_info", 1, (settings.model_name,))
        for limit, value in _limits(settings).items():
            if value is not None:
                yield Sample("quartet_limit", value, (limit,))

    def _read(self) -> Iterator[Sample]:
        running = [future for reader in self._readers if (future := reader.begin()) is not None]
        wait(running, self._patience)
        found = {reader.part.name: reader.found() for reader in self._readers}
        # Another part may be overdue because there is much to list.
        up = found["store"].whole and all(one.answered for one in found.values())
        yield Sample("quartet_store_up", int(up))
        for name, one in found.items():
            yield Sample("quartet_exporter_part_up", int(one.whole), (name,))
            if one.at:
                yield Sample("quartet_exporter_read_timestamp_seconds", one.at, (name,))
                yield Sample("quartet_exporter_read_duration_seconds", one.seconds, (name,))
            yield from one.samples


def _probe(context: Context) -> Reading:
    """Whether the store answers a request."""
    context.store.head(layout.LATEST_SNAPSHOT)
    return Reading(())


def _limits(settings: Settings) -> dict[str, float | None]:
    """What rules hold metrics against, so that a limit stands in one place."""
    latency = settings.monitoring.max_latency_ms
    return {
        "gate_min_macro_f1": settings.gate.min_macro_f1,
        "gate_min_class_recall": settings.gate.min_class_recall,
        "monitoring_max_error_share": settings.monitoring.max_error_share,
        "monitoring_max_latency_seconds": None if latency is None else latency / 1000,
        "validation_max_quarantined_share": settings.validation.max_quarantined_share,
    }


def _family(family: Family, samples: Sequence[Sample]) -> Metric:
    of_kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    metric = of_kind(family.name, family.text, labels=family.labels)
    for sample in samples:
        metric.add_metric(sample.labels, sample.value)
    return metric
