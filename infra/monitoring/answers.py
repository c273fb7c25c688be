"""What Prometheus answers to the queries of panels."""

from __future__ import annotations

import math
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import requests

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.monitoring.dashboards import Panel, Query

__all__ = ["Answered", "Prometheus", "Series"]

TIMEOUT_SECONDS = 30
#: Of a range, at most.
POINTS = 240


@dataclass(frozen=True)
class Series:
    """One series of an answer: ``points`` are (seconds since 1970, value), without those that are no number."""

    name: str
    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]

    @property
    def last(self) -> float:
        """The newest value."""
        return self.points[-1][1]


@dataclass(frozen=True)
class Answered:
    """A panel with the series of all its queries, or why there are none."""

    panel: Panel
    series: tuple[Series, ...]
    error: str = ""


class Prometheus:
    """A running Prometheus.

    Args:
        url: of its server.
        seconds: that panels over time look back.
    """

    def __init__(self, url: str, seconds: float = 3 * 3600) -> None:
        self._url, self._seconds = url.rstrip("/"), seconds
        self._session = requests.Session()
        self._session.trust_env = False

    def ask(self, panel: Panel) -> Answered:
        """Run the queries of a panel, as Grafana would."""
        series: list[Series] = []
        for query in panel.queries:
            try:
                series += self._series(query, ranged=panel.ranged)
            except ValueError as error:
                return Answered(panel, (), f"{query.expr}: {error}")
        return Answered(panel, tuple(series))

    def _series(self, query: Query, *, ranged: bool) -> list[Series]:
        now = time.time()
        path, parameters = "query", {"query": query.expr, "time": str(now)}
        if ranged:
            step = max(self._seconds / POINTS, 1)
            bounds = {"start": str(now - self._seconds), "end": str(now), "step": str(step)}
            path, parameters = "query_range", {"query": query.expr, **bounds}
        url = f"{self._url}/api/v1/{path}"
        answer = self._session.post(url, data=parameters, timeout=TIMEOUT_SECONDS).json()
        if answer["status"] != "success":
            raise ValueError(answer["error"])
        found = answer["data"]["result"]
        if answer["data"]["resultType"] == "scalar":
            found = [{"metric": {}, "value": found}]
        return [series for one in found if (series := _one(one, query)).points]


def _one(document: Mapping[str, Any], query: Query) -> Series:
    labels = document["metric"]
    pairs = document["values"] if "values" in document else [document["value"]]
    points = tuple((float(at), float(value)) for at, value in pairs if math.isfinite(float(value)))
    return Series(_name(query.legend, labels), labels, points)


def _name(legend: str, labels: Mapping[str, str]) -> str:
    if legend == "__auto":
        return ", ".join(value for label, value in labels.items() if label != "__name__")
    return re.sub(r"{{\s*(\w+)\s*}}", lambda match: labels.get(match.group(1), ""), legend)
