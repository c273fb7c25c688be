"""A stand-in for prom/statsd-exporter, for machines that reach no registry: StatsD over UDP in, Prometheus out.

It takes the three flags that the stack gives the real one, reads the same mapping file, and knows what that uses: globs
whose ``*`` is one component of a name, labels, counters, gauges, timers as histograms, ``ttl``, and dropping the rest.
Anything else in the file is refused. Production runs the real one::

    python infra/compose/local/statsd_exporter.py --statsd.mapping-config=infra/monitoring/statsd-mapping.yaml
"""

from __future__ import annotations

import argparse
import logging
import re
import signal
import socket
import sys
import threading
import time
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import yaml
from prometheus_client import CollectorRegistry, Metric, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

__all__ = ["Mapped", "Rule", "Samples", "main", "parse_line", "read_rules"]

log = logging.getLogger("statsd_exporter")

Kind = Literal["counter", "gauge", "observer"]
KINDS: dict[str, Kind] = {"c": "counter", "g": "gauge", "ms": "observer", "h": "observer", "d": "observer"}
KEYS = {"match", "match_type", "action", "name", "labels", "ttl", "histogram_options"}
UNITS = {"s": 1, "m": 60, "h": 3600}


class Line(NamedTuple):
    """One of StatsD: ``relative`` is a gauge's that is added to what it was."""

    name: str
    kind: Kind
    value: float
    relative: bool = False


class Mapped(NamedTuple):
    """What a rule makes of a name."""

    name: str
    labels: tuple[tuple[str, str], ...]
    rule: Rule


@dataclass(frozen=True)
class Rule:
    """One entry of the mapping file; without a name, what matches is dropped."""

    pattern: re.Pattern[str]
    name: str | None
    labels: Mapping[str, str] = field(default_factory=dict)
    buckets: tuple[float, ...] = ()
    ttl: float | None = None


def parse_line(text: str) -> Line:
    """Read a line such as ``airflow.ti.finish.retrain.gate.success:1|c``.

    Raises:
        ValueError: it is none.
    """
    name, colon, rest = text.partition(":")
    number, *parts = rest.split("|")
    if not (name and colon and parts) or parts[0] not in KINDS:
        raise ValueError(f"{text!r} is no line of StatsD")
    kind, value = KINDS[parts[0]], float(number)
    rate = next((float(part[1:]) for part in parts[1:] if part.startswith("@")), 1.0)
    if kind == "counter":
        value /= rate
    elif parts[0] == "ms":
        value /= 1000
    return Line(name, kind, value, relative=kind == "gauge" and number[:1] in "+-")


def read_rules(text: str) -> list[Rule]:
    """Read a mapping file.

    Raises:
        ValueError: it asks for what this stand-in does not do.
    """
    document = yaml.safe_load(text)
    defaults = document.get("defaults", {})
    if set(defaults) - {"observer_type", "histogram_options"} or defaults.get("observer_type") != "histogram":
        raise ValueError(f"defaults {defaults} ask for more than histograms")
    return [_rule(entry, defaults) for entry in document["mappings"]]


def _rule(entry: Mapping[str, Any], defaults: Mapping[str, Any]) -> Rule:
    if set(entry) - KEYS:
        raise ValueError(f"{entry['match']}: this stand-in does not know {', '.join(sorted(set(entry) - KEYS))}")
    if entry.get("match_type", "glob") == "regex":
        pattern = re.compile(entry["match"])
    else:
        pattern = re.compile("^" + r"([^.]*)".join(map(re.escape, entry["match"].split("*"))) + "$")
    if entry.get("action") == "drop":
        return Rule(pattern, None)
    buckets = entry.get("histogram_options", defaults["histogram_options"])["buckets"]
    ttl = entry.get("ttl")
    return Rule(
        pattern,
        entry["name"],
        entry.get("labels", {}),
        tuple(map(float, buckets)),
        None if ttl is None else float(ttl[:-1]) * UNITS[ttl[-1]],
    )


@dataclass
class _Series:
    kind: Kind
    rule: Rule
    at: float
    value: float = 0.0
    counts: list[int] = field(default_factory=list)


class Samples(Collector):
    """What has arrived, as metrics.

    Args:
        rules: the first that matches a name counts, globs before others.
        clock: in seconds.
    """

    def __init__(self, rules: Sequence[Rule], clock: Callable[[], float] = time.monotonic) -> None:
        self._rules, self._clock = list(rules), clock
        self._series: dict[tuple[str, tuple[tuple[str, str], ...]], _Series] = {}
        self._known: dict[str, Mapped | None] = {}
        self._lock = threading.Lock()
        self.lines: Counter[str] = Counter()

    def take(self, datagram: bytes) -> None:
        """Count all lines of a datagram; one that cannot be read is counted as such."""
        for text in datagram.decode("utf-8", "replace").splitlines():
            self.lines["all"] += 1
            try:
                line = parse_line(text)
            except ValueError as error:
                self.lines["malformed"] += 1
                log.warning("%s", error)
                continue
            mapped = self.mapped(line.name)
            if mapped is None:
                self.lines["dropped"] += 1
            else:
                self._add(line, mapped)

    def mapped(self, name: str) -> Mapped | None:
        """What the rules make of a name; None where it is dropped, or none of them matches."""
        if name not in self._known:
            self._known[name] = self._map(name)
        return self._known[name]

    def collect(self) -> Iterator[Metric]:
        """The metrics, but such as have not arrived for longer than their ``ttl``."""
        with self._lock:
            now = self._clock()
            self._series = {
                key: one for key, one in self._series.items() if one.rule.ttl is None or now - one.at <= one.rule.ttl
            }
            families: dict[str, Metric] = {}
            for (name, labels), one in sorted(self._series.items(), key=lambda item: item[0]):
                family = families.setdefault(name, _family(name, one.kind, [label for label, _ in labels]))
                _add_to(family, one, [value for _, value in labels])
        yield from families.values()
        lines = CounterMetricFamily("statsd_exporter_lines", "Lines of StatsD that arrived.")
        lines.add_metric((), self.lines["all"])
        malformed = CounterMetricFamily(
            "statsd_exporter_sample_errors", "Those that cannot be read.", labels=["reason"]
        )
        malformed.add_metric(("malformed_line",), self.lines["malformed"])
        yield lines
        yield malformed

    def _map(self, name: str) -> Mapped | None:
        for rule in self._rules:
            match = rule.pattern.search(name)
            if match:
                break
        else:
            return None
        if rule.name is None:
            return None
        filled = {label: re.sub(r"\$(\d)", _group(match), str(value)) for label, value in rule.labels.items()}
        return Mapped(rule.name, tuple(filled.items()), rule)

    def _add(self, line: Line, mapped: Mapped) -> None:
        with self._lock:
            key = (mapped.name, mapped.labels)
            one = self._series.setdefault(key, _Series(line.kind, mapped.rule, self._clock()))
            one.at = self._clock()
            if line.kind == "gauge":
                one.value = one.value + line.value if line.relative else line.value
                return
            one.value += line.value
            if line.kind == "observer":
                one.counts = one.counts or [0] * (len(mapped.rule.buckets) + 1)
                one.counts[bisect_left(mapped.rule.buckets, line.value)] += 1


def _group(match: re.Match[str]) -> Callable[[re.Match[str]], str]:
    return lambda number: match.group(int(number.group(1)))


def _family(name: str, kind: Kind, labels: Sequence[str]) -> Metric:
    of_kind = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily, "observer": HistogramMetricFamily}[kind]
    family: Metric = of_kind(name, f"Metric {name} of StatsD.", labels=labels)
    return family


def _add_to(family: Metric, one: _Series, values: Sequence[str]) -> None:
    if isinstance(family, HistogramMetricFamily):
        total, buckets = 0, []
        for limit, count in zip([*map(str, one.rule.buckets), "+Inf"], one.counts, strict=True):
            total += count
            buckets.append((limit, total))
        family.add_metric(values, buckets, one.value)
    elif isinstance(family, (CounterMetricFamily, GaugeMetricFamily)):
        family.add_metric(values, one.value)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(description="Stand-in for prom/statsd-exporter.")
    parser.add_argument("--statsd.mapping-config", dest="mapping", type=Path, required=True)
    parser.add_argument("--statsd.listen-udp", dest="udp", default=":9125", help="host:port")
    parser.add_argument("--web.listen-address", dest="web", default=":9102", help="host:port")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    samples = Samples(read_rules(options.mapping.read_text(encoding="utf-8")))
    registry = CollectorRegistry()
    registry.register(samples)
    ended: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _frame: ended.append(number))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(_address(options.udp))
        receiver.settimeout(0.2)
        host, port = _address(options.web)
        start_http_server(port, host, registry)
        log.info("StatsD at %s, metrics at %s", options.udp, options.web)
        while not ended:
            try:
                samples.take(receiver.recv(65535))
            except TimeoutError:
                continue
    return 0


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    # In a container its own address is not known before.
    return host or "0.0.0.0", int(port)  # noqa: S104


if __name__ == "__main__":
    sys.exit(main())
