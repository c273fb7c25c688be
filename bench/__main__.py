"""``python -m bench [name ...]``: run benches and write their results."""

from __future__ import annotations

import argparse
import os

# Before TensorFlow is imported by a bench: it tells of every instruction set that it could use.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from rich.console import Console

from bench import dags, export, gate, head, ingest, overlays, overview, serve, train
from bench.record import write_result

BENCHES = {
    "dags": dags.measure,
    "export": export.measure,
    "gate": gate.measure,
    "head": head.measure,
    "ingest": ingest.measure,
    "overlays": overlays.measure,
    "overview": overview.measure,
    "serve": serve.measure,
    "train": train.measure,
}


def main() -> None:
    """Run the named benches, all by default."""
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="Measure, and write bench/results/<name>.json."
    )
    parser.add_argument("names", nargs="*", metavar="name", help=f"one of {', '.join(BENCHES)}; all by default")
    names = parser.parse_args().names or list(BENCHES)
    unknown = [name for name in names if name not in BENCHES]
    if unknown:
        parser.error(f"there is no bench '{unknown[0]}'; known: {', '.join(BENCHES)}")
    console = Console()
    for name in names:
        console.rule(name, align="left")
        result = BENCHES[name]()
        path = write_result(name, result)
        for label, figure in {**result["figures"], **result["ratios"]}.items():
            console.print(f"  {label}: {figure:.3g}", highlight=False)
        console.print(f"  {path}", highlight=False)


if __name__ == "__main__":
    main()
