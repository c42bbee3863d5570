"""``testbed test``: run scenarios, show them live, leave a report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from testbed.cli.arguments import LABS


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("test", rich_help_panel=LABS)(test)


def test(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME|PATH]...", help="Topologies or test files; all topologies if none."
        ),
    ] = None,
    select: Annotated[
        str, typer.Option("-k", "--select", help="Only scenarios whose name matches (pytest -k).")
    ] = "",
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the lab of a failed scenario up.")
    ] = False,
    stop: Annotated[bool, typer.Option("-x", "--stop", help="Stop at the first failure.")] = False,
    runs: Annotated[
        Path | None, typer.Option("--runs", help="Where run folders go (default: runs/).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False,
) -> None:
    """Run the scenarios of topologies; exit 0 when all passed, 1 when any failed."""
    from testbed.scenarios.runner import run_scenarios

    outcome = run_scenarios(
        names or [], select=select, keep=keep, stop=stop, runs=runs, quiet=as_json
    )
    if as_json:
        typer.echo(json.dumps(outcome.to_json(), indent=2))
    raise typer.Exit(outcome.status)
