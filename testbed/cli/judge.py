"""``testbed test``: run scenarios, show them live, leave a report."""

from __future__ import annotations

import json
from functools import partial
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
    kernel: Annotated[
        str, typer.Option("--kernel", help="host, or guest: a kernel that has all features.")
    ] = "host",
    clock: Annotated[
        str, typer.Option("--clock", help="real, or virtual (in a guest): idle time is skipped.")
    ] = "real",
    seed: Annotated[
        int | None, typer.Option("--seed", help="Of a guest's randomness; the same runs repeat.")
    ] = None,
) -> None:
    """Run the scenarios of topologies; exit 0 when all passed, 1 when any failed."""
    if kernel != "host" or clock != "real" or seed is not None:
        from testbed.scenarios.in_guest import check_choice, judge_in_guest

        check_choice(kernel, clock, seed, keep)
        arguments = [*(names or []), *(["--json"] if as_json else [])]
        arguments += [f"--select={select}"] if select else []
        arguments += ["--stop"] if stop else []
        note = partial(typer.echo, err=True)
        status = judge_in_guest(arguments, clock=clock, seed=seed, runs=runs, say=note)
        raise typer.Exit(status)
    from testbed.scenarios.runner import run_scenarios

    outcome = run_scenarios(
        names or [], select=select, keep=keep, stop=stop, runs=runs, quiet=as_json
    )
    if as_json:
        typer.echo(json.dumps(outcome.to_json(), indent=2))
    raise typer.Exit(outcome.status)
