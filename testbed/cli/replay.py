"""``testbed replay``: do a run again and compare it to the byte."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from testbed.cli.arguments import LABS, Json
from testbed.cli.output import bad, bold, count, faint, good, say, say_json, tell

if TYPE_CHECKING:
    from testbed.replay.again import Replayed


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("replay", rich_help_panel=LABS)(replay)


def replay(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="The folder of a run in a guest, virtual clock.")
    ],
    present: Annotated[
        bool, typer.Option("--present", help="Use the sources as they are now, not the run's own.")
    ] = False,
    runs: Annotated[
        Path | None, typer.Option("--runs", help="Where run folders go (default: runs/).")
    ] = None,
    as_json: Json = False,
) -> None:
    """Do a run again and compare: the same to the byte, or the first thing that differs.

    Exit 0 when it is the same, 1 when it is not (whether its scenarios passed or failed).
    """
    from testbed.guest.boot import pass_through
    from testbed.guest.link import Kind
    from testbed.replay.again import check, names_of
    from testbed.replay.again import replay as do_again
    from testbed.replay.recipe import parts, repeating_parts
    from testbed.runs import VARIABLE, new_run_folder
    from testbed.scenarios.inside_paths import TranslatedOutput, Translator

    def pass_on(kind: Kind, data: bytes) -> None:
        pass_through(Kind.ERRORS if as_json else kind, data)

    found = parts(run)
    chosen = repeating_parts(run) or found[:1] or (run,)
    for part in chosen:
        check(part)
    if len(chosen) < len(found):
        left = count(len(found) - len(chosen), "guest")
        tell(f"{left} of this run cannot be repeated (real time, or it broke off) and is left out")
    if runs is not None:
        os.environ[VARIABLE] = str(runs)
    again = new_run_folder("replay")
    done = []
    for part in chosen:
        folder = again / part.relative_to(run)
        tell(faint(_what(part)))
        output = TranslatedOutput(Translator(folder, names_of(part)), pass_on)
        done.append(do_again(part, folder, output=output, say=tell, present=present))
        output.flush()
        if not as_json:
            say(_verdict(done[-1], run))
    if as_json:
        say_json([_json(one) for one in done])
    raise typer.Exit(0 if all(one.same for one in done) else 1)


def _what(part: Path) -> str:
    from testbed.replay.recipe import Recipe

    recipe = Recipe.read(part)
    return (
        f"replaying testbed {' '.join(recipe.words)}: seed {recipe.seed}, "
        f"{recipe.clock} clock from {recipe.start}, guest kernel {recipe.kernel}"
    )


def _verdict(one: Replayed, run: Path) -> str:
    captures = count(one.after.captures, "capture")
    streams = count(one.after.streams, "event stream")
    if one.same:
        return f"{good('the same to the byte')}: {captures}, {streams}, {one.after.hash[:16]}"
    lines = [f"{bad('not the same')}: {one.before[:16]} before, {one.after.hash[:16]} now"]
    found = one.difference
    if found is not None:
        lines.append(f"{bold('first difference')}: {found.file}, {found.what}")
        if found.one or found.other:
            lines += [f"  before  {found.one}", f"  now     {found.other}"]
        if found.detail:
            lines.append(f"  {found.detail}")
    lines.append(f"compare {run} with {one.folder}")
    return "\n".join(lines)


def _json(one: Replayed) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "run": str(one.original),
        "replay": str(one.folder),
        "seed": one.recipe.seed,
        "same": one.same,
        "before": one.before,
        "now": one.after.hash,
        "status": one.status,
        "difference": None if one.difference is None else asdict(one.difference),
    }
