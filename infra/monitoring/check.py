"""Whether every panel of every dashboard has data at a running Prometheus, and a picture of what it shows.

::

    python -m infra.monitoring.check --prometheus http://127.0.0.1:9090 --pictures var/dashboards

Ends with status 1 when a panel has none. The pictures are drawn with matplotlib from the same answers: they show what
a dashboard says, and only about how it will look in Grafana.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from infra.monitoring.answers import Prometheus
from infra.monitoring.dashboards import load_dashboards

if TYPE_CHECKING:
    from collections.abc import Sequence

    from infra.monitoring.answers import Answered

__all__ = ["main", "missing"]


def missing(answered: Sequence[Answered]) -> list[str]:
    """In words, the panels that have no data."""
    return [f"{one.panel.title}: {one.error or 'no data'}" for one in answered if not one.series]


def main(arguments: Sequence[str] | None = None) -> int:
    """Ask, draw and tell."""
    parser = argparse.ArgumentParser(description="Check that every panel of every dashboard has data.")
    parser.add_argument("--prometheus", default="http://127.0.0.1:9090", metavar="URL")
    parser.add_argument("--pictures", type=Path, metavar="FOLDER", help="where to draw what the dashboards show")
    parser.add_argument("--hours", type=float, default=3, help="that panels over time look back")
    options = parser.parse_args(arguments)
    prometheus = Prometheus(options.prometheus, options.hours * 3600)
    empty = 0
    for dashboard in load_dashboards():
        answered = [prometheus.ask(panel) for panel in dashboard.panels]
        without = missing(answered)
        empty += len(without)
        sys.stdout.write(f"{dashboard.title}: {len(answered) - len(without)} of {len(answered)} panels have data\n")
        sys.stdout.writelines(f"  {one}\n" for one in without)
        if options.pictures:
            from infra.monitoring.sheet import draw

            options.pictures.mkdir(parents=True, exist_ok=True)
            draw(dashboard, answered, options.pictures / f"{dashboard.name}.png")
    return 1 if empty else 0


if __name__ == "__main__":
    sys.exit(main())
