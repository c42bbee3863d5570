"""What happens in a lab: its events and its services' logs, also after it has gone down."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from testbed.cli import completion, talk
from testbed.cli.arguments import LOOK, Follow
from testbed.cli.output import bold, say, say_json
from testbed.cli.talk import services
from testbed.errors import LabNotFoundError, TestbedError

if TYPE_CHECKING:
    from testbed.cli.follow import GrowingFile

_TAIL = 10

LabOrFolder = Annotated[
    str | None,
    typer.Argument(
        metavar="LAB|FOLDER",
        help="A lab that is up (may be left out if only one is), or the folder of an earlier run.",
        autocompletion=completion.labs,
        show_default=False,
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command("events", rich_help_panel=LOOK)(events)
    app.command("logs", rich_help_panel=LOOK)(logs)


def events(
    lab: LabOrFolder = None,
    *,
    follow: Follow = False,
    kinds: Annotated[
        list[str] | None,
        typer.Option(
            "--kind",
            "-k",
            metavar="KIND",
            help="Only events of this kind, such as drop (several times).",
            autocompletion=completion.event_kinds,
        ),
    ] = None,
    nodes: Annotated[
        list[str] | None,
        typer.Option("--node", metavar="NODE", help="Only events of this node (several times)."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON lines.")] = False,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON Schema of events instead.")
    ] = False,
) -> None:
    """Show what happened in a lab.

    Services, commands, faults, captures, and dropped packets with their reasons.
    """
    from testbed.events import decode, json_schema
    from testbed.events.codec import event_types

    if schema:
        say_json(json_schema())
        return
    known = sorted(event_types())
    for kind in kinds or ():
        if kind not in known:
            raise typer.BadParameter(
                f"{kind!r} is not a kind of event ({', '.join(known)})", param_hint="--kind"
            )

    def show(line: str) -> None:
        record = decode(line)
        if kinds and record.event.kind not in kinds:
            return
        if nodes and record.node not in nodes:
            return
        if as_json:
            say(line)
        else:
            from testbed.cli.event_lines import event_line

            say(event_line(record))

    folder, goes_on = source(lab, "events")
    _show_file(folder / "events.jsonl", show, goes_on if follow else None)


def logs(
    lab: LabOrFolder = None,
    service: Annotated[
        str | None,
        typer.Argument(
            metavar="NODE/SERVICE",
            help="One service; the ends of all logs if left out.",
            autocompletion=completion.services,
            show_default=False,
        ),
    ] = None,
    follow: Follow = False,
) -> None:
    """Show the logs of services.

    The whole log of one service, or the last lines of every log.
    """
    from testbed.cli.follow import GrowingFile
    from testbed.cli.follow import follow as follow_files

    if service is None and lab is not None and "/" in lab and not Path(lab).is_dir():
        lab, service = None, lab  # the lab was left out
    folder, goes_on = source(lab, "logs")
    if service is not None:
        file = _show_file(_log_of(folder, service), say, goes_on if follow else None)
        for line in file.remainder():
            say(line)
        return
    files = {name: GrowingFile(path) for name, path in _logs(folder).items()}
    for name, file in files.items():
        say(bold(f"==> {name} <=="))
        for line in [*file.lines(), *file.remainder()][-_TAIL:]:
            say(line)
        say()
    if follow:
        for name, line in follow_files(files, goes_on):
            say(f"{bold(name)}: {line}")


def _logs(folder: Path) -> dict[str, Path]:
    """The logs of a run by the names of their services; the lab's own is ``lab``."""
    logs = {name: folder / "logs" / f"{name.replace('/', '-')}.log" for name in services(folder)}
    return {**logs, "lab": folder / "logs" / "lab.log"}


def _log_of(folder: Path, service: str) -> Path:
    known = _logs(folder)
    if service not in known:
        raise TestbedError(
            f"there is no service {service!r}",
            where=str(folder),
            hint=f"there are logs of: {', '.join(known)}",
        )
    return known[service]


def source(lab: str | None, command: str) -> tuple[Path, Callable[[], bool]]:
    """A run folder, and whether its lab still goes on."""
    if lab is not None and Path(lab).is_dir() and lab not in talk.running():
        if not (Path(lab) / "events.jsonl").is_file():
            raise TestbedError("this is no run folder: it has no events.jsonl", where=lab)
        return Path(lab), lambda: False
    name = talk.chosen(lab, command)
    try:
        folder = Path(talk.status(name)["run_folder"])
    except LabNotFoundError as error:
        hint = f"{error.hint}; for a lab that is down, name its run folder"
        raise LabNotFoundError(error.what, hint=hint) from None
    talk.ask(name, {"do": "sync"})
    return folder, lambda: name in talk.running()


def _show_file(
    path: Path, show: Callable[[str], None], goes_on: Callable[[], bool] | None
) -> GrowingFile:
    from testbed.cli.follow import GrowingFile, follow

    file = GrowingFile(path)
    for _, line in follow({"": file}, goes_on or (lambda: False)):
        show(line)
    return file
