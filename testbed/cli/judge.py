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
        str,
        typer.Option(
            "--kernel",
            help="host; guest: a kernel of our own that has all features; auto: the host's where "
            "it has all that a scenario needs, else a guest.",
        ),
    ] = "auto",
    clock: Annotated[
        str,
        typer.Option(
            "--clock", help="In guests: real; virtual: idle time is skipped; auto: as needed."
        ),
    ] = "auto",
    seed: Annotated[
        int | None, typer.Option("--seed", help="Of a guest's randomness; the same runs repeat.")
    ] = None,
    start: Annotated[
        str | None,
        typer.Option("--start", help='When virtual time begins, e.g. "2017-07-16 09:56:52".'),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", "-j", min=1, help="Guests at a time.  [default: one per CPU]"),
    ] = None,
    backend: Annotated[
        str,
        typer.Option(
            "--backend",
            metavar="NAME,...|all",
            help="What makes the nodes: netns, mininet, docker; with several, every scenario "
            "runs on each that can carry it.",
        ),
    ] = "netns",
    part: Annotated[bool, typer.Option("--part", hidden=True)] = False,
) -> None:
    """Run the scenarios of topologies; exit 0 when all passed, 1 when any failed.

    Each runs under a kernel that has what it needs; docs/kernels_and_clocks.md tells more.
    """
    from testbed.scenarios.choice import Choice
    from testbed.scenarios.runner import run_scenarios

    choice = Choice.of(kernel, clock, seed=seed, start=start, jobs=jobs, backend=backend, keep=keep)
    outcome = run_scenarios(
        names or [],
        select=select,
        keep=keep,
        stop=stop,
        runs=runs,
        quiet=as_json,
        choice=choice,
        part=part,
        say=partial(typer.echo, err=True),
    )
    if as_json:
        typer.echo(json.dumps(outcome.to_json(), indent=2))
    raise typer.Exit(outcome.status)
