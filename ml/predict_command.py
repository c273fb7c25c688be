"""``quartet predict``: images asked of the model that is served."""

from __future__ import annotations

import json
import time
from collections import Counter
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path  # noqa: TC003 - typer reads the annotations of its commands
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from ml.config import Settings, load_settings
from ml.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from serving.batch import Row, Target
    from serving.client import Client

__all__ = ["predict"]

#: Ends the process when all went well but some images could not be classified; 1 is an error, 2 wrong arguments.
SOME_NOT_CLASSIFIED = 3

console = Console()
errors = Console(stderr=True)


class Protocol(StrEnum):
    """How the server is asked."""

    GRPC = "grpc"
    REST = "rest"


def predict(
    files: Annotated[list[Path] | None, typer.Argument(help="JPEG or PNG images.")] = None,
    folder: Annotated[
        Path | None, typer.Option(exists=True, file_okay=False, help="All files in it and below, but hidden ones.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="A parquet file to write, whole or not at all.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace --out where it exists.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object a line, as answers come.")] = False,
    protocol: Protocol = Protocol.GRPC,
    version: Annotated[int | None, typer.Option(min=1, help="Ask this version.")] = None,
    label: Annotated[
        str | None, typer.Option(help="Ask the version it names; `serving.label` by default, '' the highest.")
    ] = None,
    host: Annotated[str | None, typer.Option(help="Of the server; `serving.host` by default.")] = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Of the protocol; from `serving` by default.")
    ] = None,
) -> None:
    """Classify images with the model that is served; ends with 3 when some could not be classified."""
    paths = _chosen(files, folder)
    if out is not None and out.exists() and not overwrite:
        raise ConfigError(f"{out} exists.", "Give --overwrite to replace it, or another name.")
    if folder is not None and out is None and not as_json:
        raise ConfigError("It is not said where the answers for a folder go.", "Give --out FILE.parquet, or --json.")
    settings = load_settings()
    with _connect(settings, protocol, host, port) as client:
        counts = _predict(client, settings, paths, folder, out, as_json, version, label)
    if set(counts) - {"OK"}:
        raise typer.Exit(SOME_NOT_CLASSIFIED)


def _chosen(files: list[Path] | None, folder: Path | None) -> list[Path]:
    if bool(files) == bool(folder):
        raise ConfigError("What is to be classified is not clear.", "Give either files or --folder.")
    if folder is None:
        return list(files or [])
    found = sorted(path for path in folder.rglob("*") if _is_meant(path) and not _hidden(path, folder))
    if not found:
        raise ConfigError(f"{folder} has no files.", "Name a folder with images.")
    return found


def _is_meant(path: Path) -> bool:
    """Files, and links that lead nowhere: these get a row that says so. Reading a pipe would wait for ever."""
    return path.is_file() or (path.is_symlink() and not path.exists())


def _hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def _connect(settings: Settings, protocol: Protocol, host: str | None, port: int | None) -> Client:
    from serving.client import GrpcClient, RestClient

    changes: dict[str, Any] = {"host": host, "port": port}
    kind = RestClient if protocol is Protocol.REST else GrpcClient
    return kind.from_settings(settings, **{name: value for name, value in changes.items() if value is not None})


def _predict(
    client: Client,
    settings: Settings,
    paths: Sequence[Path],
    folder: Path | None,
    out: Path | None,
    as_json: bool,
    version: int | None,
    label: str | None,
) -> Mapping[str, int]:
    from serving.batch import find_target

    known = () if settings.classes == "discover" else tuple(settings.classes)
    target = find_target(client, version, label, known)
    started = time.monotonic()
    rows = _rows(client, target, settings, paths, folder)
    counts, shown = _hand_on(rows, target, settings.model_name, out, as_json, keep=not as_json and out is None)
    if shown:
        console.print(_table(shown, target))
    said = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
    place = f", in {out}" if out else ""
    errors.print(
        f"{len(paths)} images in {time.monotonic() - started:.1f} s: {said}; "
        f"version {target.version} of {settings.model_name}{place}",
        highlight=False,
        soft_wrap=True,
    )
    return counts


def _rows(
    client: Client, target: Target, settings: Settings, paths: Sequence[Path], folder: Path | None
) -> Iterator[Row]:
    from ml import layout
    from serving.batch import file_item, predict_items

    items = (
        file_item(path, layout.printable(str(path.relative_to(folder) if folder else path)), settings.images.max_bytes)
        for path in paths
    )
    with Progress(console=errors, transient=True, disable=not errors.is_terminal) as progress:
        yield from progress.track(predict_items(client, target, items), total=len(paths), description="asking")


def _hand_on(
    rows: Iterator[Row], target: Target, model_name: str, out: Path | None, as_json: bool, keep: bool
) -> tuple[Mapping[str, int], list[Row]]:
    """Write or print rows as they come; counts by status, and the rows if they are to be kept."""
    from serving.prediction_table import as_record, writing_predictions

    counts: Counter[str] = Counter()
    kept: list[Row] = []
    with ExitStack() as stack:
        write = stack.enter_context(writing_predictions(out, target, model_name)) if out else None
        for row in rows:
            counts[row.status] += 1
            if write:
                write(row)
            if as_json:
                typer.echo(json.dumps(as_record(row, target, model_name), ensure_ascii=False))
            if keep:
                kept.append(row)
    return counts, kept


def _table(rows: Sequence[Row], target: Target) -> Table:
    table = Table("image", "class", "probability", "version", "status")
    for row in rows:
        answer = row.prediction
        name, chance = (answer.class_name, f"{answer.probability:.4f}") if answer else ("", "")
        table.add_row(escape(row.name), escape(name), chance, str(target.version), row.status)
    return table
