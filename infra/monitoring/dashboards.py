"""Grafana's dashboards as they lie here: their panels, and the queries of these."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["DASHBOARDS", "Dashboard", "Panel", "Query", "load_dashboards"]

DASHBOARDS = Path(__file__).parent / "grafana" / "dashboards"
#: Panels that show a series over time; the others show its newest value.
RANGED = "timeseries"
#: What Grafana puts in for its own variables, for scrapes every 15 seconds.
BUILT_IN = {"$__rate_interval": "1m", "$__interval": "15s", "$__range": "3h"}


class Query(NamedTuple):
    """One query of a panel: ``legend`` names its series, ``{{label}}`` in it being a label's value."""

    expr: str
    legend: str


@dataclass(frozen=True)
class Panel:
    """One panel.

    Attributes:
        kind: Grafana's type, e.g. ``stat``.
        title: its heading.
        queries: with values in the place of variables.
        place: left, top, width and height in units of the grid, which is 24 wide.
        document: all that Grafana is told of it.
    """

    kind: str
    title: str
    queries: tuple[Query, ...]
    place: tuple[int, int, int, int]
    document: Mapping[str, Any]

    @property
    def ranged(self) -> bool:
        """Whether it shows series over time."""
        return self.kind == RANGED


@dataclass(frozen=True)
class Dashboard:
    """One dashboard; ``rows`` are the headings between its panels, by where they are from the top."""

    name: str
    title: str
    panels: tuple[Panel, ...]
    rows: Mapping[int, str]


def load_dashboards(folder: Path = DASHBOARDS) -> list[Dashboard]:
    """All of them, by name."""
    return [_dashboard(path) for path in sorted(folder.glob("*.json"))]


def _dashboard(path: Path) -> Dashboard:
    document = json.loads(path.read_text(encoding="utf-8"))
    variables = BUILT_IN | {f"${one['name']}": one["allValue"] for one in document["templating"]["list"]}
    panels = [one for one in document["panels"] if one["type"] != "row"]
    rows = {one["gridPos"]["y"]: one["title"] for one in document["panels"] if one["type"] == "row"}
    return Dashboard(path.stem, document["title"], tuple(_panel(one, variables) for one in panels), rows)


def _panel(document: Mapping[str, Any], variables: Mapping[str, str]) -> Panel:
    place = document["gridPos"]
    return Panel(
        document["type"],
        document["title"],
        tuple(_queries(document, variables)),
        (place["x"], place["y"], place["w"], place["h"]),
        document,
    )


def _queries(document: Mapping[str, Any], variables: Mapping[str, str]) -> Iterator[Query]:
    for target in document["targets"]:
        expr = target["expr"]
        for variable, value in variables.items():
            expr = expr.replace(variable, value)
        yield Query(expr, target["legendFormat"])
