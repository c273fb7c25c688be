"""``python -m infra.local``: what the Makefile's targets call."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from infra.local import stack
from infra.local.components import COMPONENT_NAMES
from infra.local.credentials import ADMIN, VIEWER, read_password
from infra.local.layout import Layout
from infra.local.processes import State
from ml.terminal import run_app

__all__ = ["app", "main"]

CHECKOUT = Path(__file__).resolve().parents[2]
STYLES = {State.RUNNING: "green", State.STOPPED: "dim", State.DIED: "bold red"}

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Airflow and the model server on this machine.",
)
console = Console()
errors = Console(stderr=True)

Root = Annotated[Path, typer.Option(help="Holds dags, plugins and quartet.yaml.", file_okay=False, exists=True)]


def main() -> None:
    """Run the command line; an error that a person can mend ends with status 1 and the remedy."""
    run_app(app, errors)


@app.command()
def up(root: Root = CHECKOUT) -> None:
    """Start the stack, and wait until it is healthy."""
    layout = stack.load_layout(root)
    stack.up(layout, _say)
    console.print(_addresses(layout))


@app.command()
def demo(
    root: Root = CHECKOUT,
    data: Annotated[Path | None, typer.Option(help="One folder of images a class; a drawn set by default.")] = None,
) -> None:
    """Run the whole pipeline through Airflow, and ask the model server for the result."""
    from infra.local.demo import run_demo

    run_demo(root.resolve(), data, console)


@app.command()
def down(root: Root = CHECKOUT) -> None:
    """Stop the stack."""
    stack.down(Layout(root.resolve()), _say)
    console.print("The stack is down.")


@app.command()
def status(root: Root = CHECKOUT) -> None:
    """Show each component; status 1 when one has died."""
    statuses = stack.status(Layout(root.resolve()))
    table = Table("component", "state", "pid", "address")
    for item in statuses:
        state = f"[{STYLES[item.state]}]{item.state}[/]"
        table.add_row(item.name, state, "" if item.pid is None else str(item.pid), item.address)
    console.print(table)
    died = [item for item in statuses if item.state is State.DIED]
    for item in died:
        _print_lines(item.name, item.last_lines)
    raise typer.Exit(code=bool(died))


@app.command()
def logs(
    names: Annotated[list[str] | None, typer.Argument(help="Components; all by default.")] = None,
    lines: Annotated[int, typer.Option(min=1, help="Of each log.")] = stack.LOG_LINES,
    root: Root = CHECKOUT,
) -> None:
    """Show the last lines of the components' logs."""
    layout = Layout(root.resolve())
    for name, last in stack.logs(layout, names or COMPONENT_NAMES, lines).items():
        _print_lines(str(layout.log_file(name)), last)


def _say(text: str) -> None:
    console.print(f"  {escape(text)}", highlight=False)


def _print_lines(title: str, lines: tuple[str, ...]) -> None:
    console.rule(escape(title), align="left")
    for line in lines or ("(nothing)",):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _addresses(layout: Layout) -> Table:
    table = Table(title="The stack is up", title_justify="left", show_header=False)
    table.add_row("Airflow", layout.airflow_url)
    table.add_row("sign in as", f"{ADMIN}, password {escape(read_password(layout))}")
    table.add_row("passwords", escape(f"{layout.passwords_file} (also of {VIEWER}, who may only look)"))
    table.add_row("model server", f"REST {layout.rest_url}, gRPC {layout.grpc_address}")
    table.add_row("logs", escape(f"{layout.log}, or `make logs`"))
    table.add_row("stop", "make down")
    return table


if __name__ == "__main__":
    main()
