"""``testbed doctor``: what this machine can and cannot do."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from testbed.cli.arguments import TOOLS, Json
from testbed.cli.output import Progress, say_json

if TYPE_CHECKING:
    import pytest

Needs = list[tuple[str, tuple[str, ...]]]


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command("doctor", rich_help_panel=TOOLS)(doctor)


def doctor(
    short: Annotated[
        bool, typer.Option("--short", help="Only what is not in order, and what to do about it.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Say what this machine can and cannot do.

    And which scenarios that affects, and what would help. Exits 1 when no lab can run here.
    """
    from testbed.doctor import examine

    with Progress("examining this machine", moving=False) as progress:
        progress("which scenarios there are, and what they need")
        needs = scenario_needs()
        progress("kernel, rights, programs")
        report = examine(needs)
    if as_json:
        say_json(report.to_json())
    else:
        from rich.console import Console

        from testbed.doctor import render

        Console(highlight=False).print(render(report, full=not short))
    if not report.usable:
        raise typer.Exit(1)


def scenario_needs() -> Needs:
    """Every scenario of every topology that can be found, with the names of what it needs."""
    from testbed.model.discover import default_search

    folders = [str(folder) for folder in default_search()]
    return _collect(folders) if folders else []


def _collect(folders: Iterable[str]) -> Needs:
    """Have pytest find the scenarios, as it will when they are run."""
    import pytest

    found: Needs = []

    class Listener:
        @staticmethod
        def pytest_collection_finish(session: pytest.Session) -> None:
            found.extend((item.nodeid, tuple(_needs(item))) for item in session.items)

    # Files that cannot be collected are for `testbed test` to complain about.
    arguments = ["--collect-only", "--continue-on-collection-errors", "-p", "no:cacheprovider"]
    with contextlib.redirect_stdout(io.StringIO()):
        pytest.main([*arguments, *folders], plugins=[Listener()])
    return found


def _needs(item: pytest.Item) -> Iterable[str]:
    from testbed.scenarios.item_needs import needs_of

    return (need.name for need in needs_of(item))
