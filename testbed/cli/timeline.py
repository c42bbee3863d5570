"""When IKE_SAs and CHILD_SAs were made, rekeyed and deleted, also in an earlier run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from testbed.cli.arguments import LOOK
from testbed.cli.observe import LabOrFolder, source
from testbed.cli.output import bold, say, say_json, table, tell
from testbed.errors import TestbedError

if TYPE_CHECKING:
    from testbed.events import Record
    from testbed.evidence.sa import History, Stream


def register(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command("timeline", rich_help_panel=LOOK)(timeline)


def timeline(
    lab: LabOrFolder = None,
    *,
    svg: Annotated[
        Path | None,
        typer.Option(
            "--svg", metavar="FILE", help="Draw the timeline into this file.", show_default=False
        ),
    ] = None,
    per_end: Annotated[
        bool, typer.Option("--per-end", help="Draw what each end told in lanes of its own.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    rtx_log: Annotated[
        bool, typer.Option("--rtx-log", help="Print the log that a YAMAHA RTX would have written.")
    ] = False,
    end: Annotated[
        str | None,
        typer.Option(
            "--end",
            metavar="NODE",
            help="Whose SPIs and log to show, if not those of the first end.",
            show_default=False,
        ),
    ] = None,
    tunnel: Annotated[
        int, typer.Option("--tunnel", metavar="N", help="The tunnel's number in the RTX's log.")
    ] = 1,
) -> None:
    """Show the life of IKE_SAs and CHILD_SAs.

    When each was made, rekeyed and deleted, by which end, and what became of the probes meanwhile:
    as a table, as JSON, as a drawing (SVG), or as the log of a YAMAHA RTX.
    """
    from testbed.evidence.sa import history_json, sa_history, streams_of
    from testbed.lab import read_events

    if as_json and rtx_log:
        raise typer.BadParameter("--json and --rtx-log are two forms of one answer; give one")
    folder = _folder(lab)
    records = tuple(read_events(folder / "events.jsonl"))
    history, streams = sa_history(records), streams_of(records)
    if not history.sas:
        raise TestbedError(
            "no event tells of an SA",
            where=str(folder),
            hint="is there an IKE daemon in this lab, and has it had the time to make one?",
        )
    if end is not None and end not in history.ends:
        raise TestbedError(
            f"{end!r} told of no SA", where=str(folder), hint=f"told by: {', '.join(history.ends)}"
        )
    end = end or history.ends[0]
    if svg is not None:
        _draw(svg, folder, history, streams, records, end, per_end=per_end)
    if rtx_log:
        from testbed.evidence.sa import rtx_log as lines_of

        for line in lines_of(history, end, tunnel=tunnel):
            say(line)
    elif as_json:
        say_json(history_json(history))
    elif svg is None:
        _table(history, streams)


def _folder(lab: str | None) -> Path:
    """The folder of the lab; of a run of scenarios, that of its one lab which has SAs."""
    given = None if lab is None else Path(lab)
    if given is None or not _is_run_of_scenarios(given):
        folder, _ = source(lab, "timeline")
        return folder
    labs = sorted(path.parent for path in given.glob("**/labs/*/events.jsonl") if _has_sas(path))
    if len(labs) == 1:
        return labs[0]
    if not labs:
        raise TestbedError(
            "no event of this run tells of an SA", where=str(given), hint="was it the right run?"
        )
    raise TestbedError(
        f"{len(labs)} labs of this run tell of an SA",
        where=str(given),
        hint="name one: " + ", ".join(str(path) for path in labs),
    )


def _is_run_of_scenarios(folder: Path) -> bool:
    inside = (folder / "labs", folder / "guests")
    return any(one.is_dir() for one in inside) and not (folder / "events.jsonl").exists()


def _has_sas(path: Path) -> bool:
    """Without decoding everything: the run may have many labs."""
    from testbed.events import SaEvent, decode

    with path.open(encoding="utf-8") as file:
        likely = (line for line in file if "-sa-" in line and line.endswith("\n"))
        return any(isinstance(decode(line).event, SaEvent) for line in likely)


def _draw(
    path: Path,
    folder: Path,
    history: History,
    streams: tuple[Stream, ...],
    records: tuple[Record, ...],
    end: str,
    *,
    per_end: bool,
) -> None:
    from testbed.evidence.sa import draw_timeline
    from testbed.evidence.sa.items import faults

    drawing = draw_timeline(
        history,
        streams,
        title=f"SAs of {folder.name}",
        per_end=per_end,
        seen_from=end,
        marks=faults(records),
    )
    try:
        path.write_text(drawing, encoding="utf-8")
    except OSError as error:
        raise TestbedError(
            f"the drawing cannot be written: {error.strerror or error}",
            where=str(path),
            hint="name a file in a folder that exists and can be written to",
        ) from error
    tell(f"drawn: {path}")


def _table(history: History, streams: tuple[Stream, ...]) -> None:
    from testbed.evidence.sa import history_table

    plain = history_table("", history)
    say(table([column.upper() for column in plain.columns], plain.rows))
    for stream in streams:
        answered = stream.sent - stream.lost
        say(f"{bold(stream.name)}: {answered:,} of {stream.sent:,} probes answered")
    for words in history.disagreements():
        say(f"the ends differ: {words}")
