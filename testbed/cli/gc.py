"""``testbed gc``: the safety net for what labs have in Docker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from testbed.cli.arguments import TOOLS, Json
from testbed.cli.output import count, say, say_json, table, tell

if TYPE_CHECKING:
    from testbed.backends.docker_keeper.leftovers import Thing


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command(rich_help_panel=TOOLS)(gc)


def gc(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Only say what would be removed.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Remove containers, networks and volumes of labs that live no more.

    Labs take what they have with them however they end, so there is hardly ever anything to
    remove. Only what carries our labels is touched, and never what belongs to a lab that lives.
    """
    from testbed.backends.docker_keeper import leftovers
    from testbed.backends.docker_keeper.engine import open_engine
    from testbed.backends.docker_keeper.labels import Life

    client = open_engine()
    try:
        things = leftovers.find(client)
        dead = [thing for thing in things if thing.life is Life.DEAD]
        if not dry_run:
            leftovers.remove(client, dead)
    finally:
        client.close()
    unknown = [thing for thing in things if thing.life is Life.UNKNOWN]
    if as_json:
        say_json(
            {
                "dry_run": dry_run,
                "removed": [thing.to_json() for thing in dead],
                "kept": [thing.to_json() for thing in things if thing not in dead],
            }
        )
        return
    if dead:
        say(table(("kind", "name", "lab", "node"), (_row(thing) for thing in dead)))
    say(f"{'would remove' if dry_run else 'removed'} {count(len(dead), 'thing')}")
    if unknown:
        names = ", ".join(thing.name for thing in unknown)
        tell(f"note: left alone, for their lab may live in another container: {names}")


def _row(thing: Thing) -> tuple[str, str, str, str]:
    return thing.kind, thing.name, thing.lab, thing.node
