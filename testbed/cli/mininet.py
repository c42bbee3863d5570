"""Mininet's own prompt on a lab."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from testbed.cli import completion, talk
from testbed.cli.arguments import LOOK
from testbed.cli.inside import terminal_variables


def register(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command("mininet", rich_help_panel=LOOK)(mininet)


def mininet(
    lab: Annotated[
        str | None,
        typer.Argument(
            metavar="LAB",
            help="A lab whose nodes Mininet made; may be left out if only one is up.",
            autocompletion=completion.labs,
            show_default=False,
        ),
    ] = None,
    line: Annotated[
        list[str] | None,
        typer.Option(
            "--line",
            "-c",
            metavar="LINE",
            help="Do this instead of asking: pingall (several times).",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Open Mininet's own prompt on a lab.

    Its nodes, links and API are there as on any Mininet network: net, pingall, h1 ping h2, py ...
    Lines may also come by --line, or from a pipe or file; the exit code is then 1 if Mininet had to
    complain. Ctrl-D leaves the prompt; the lab stays.
    """
    from testbed.backends.place import MININET_CONSOLE
    from testbed.cli.attach import run_attached
    from testbed.cli.terminal import run_on_terminal

    chosen = talk.chosen(lab, "mininet")
    variables = terminal_variables()
    if line or not (os.isatty(0) and os.isatty(1)):
        raise typer.Exit(run_attached(chosen, MININET_CONSOLE, line or [], variables))
    raise typer.Exit(run_on_terminal(chosen, MININET_CONSOLE, [], variables))
