"""Labs come up and go down."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from testbed.cli import clocks, completion, talk
from testbed.cli.arguments import LABS, Backend, Json
from testbed.cli.arguments import backend as known_backend
from testbed.cli.ground import blame_what_is_missing, machine_for
from testbed.cli.left_out import topology_of
from testbed.cli.output import (
    INTERRUPTED,
    Progress,
    bold,
    count,
    duration,
    facts,
    good,
    say,
    say_json,
    tell,
)
from testbed.errors import (
    LabError,
    LabNotFoundError,
    TestbedError,
)

if TYPE_CHECKING:
    from testbed.guest.machine import Machine
    from testbed.lab import Lab
    from testbed.model.topology import Topology as Model

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_PATIENCE = 10.0
_LOOK_EVERY = 0.01


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command("up", rich_help_panel=LABS)(up)
    app.command("down", rich_help_panel=LABS)(down)


def up(
    topology: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME|FILE",
            help="A topology's name (see testbed list), or a file: topology.py, .yaml, .json, "
            ".clab.yml.",
            autocompletion=completion.topologies,
            show_default=False,
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option("--name", "-n", help="Name of the lab.  [default: the topology's]"),
    ] = None,
    runs: Annotated[
        Path | None,
        typer.Option(
            "--runs",
            metavar="DIR",
            help="Where the folder of this run is made: events, logs, captures.  "
            "[default: $TESTBED_RUNS, or runs]",
        ),
    ] = None,
    foreground: Annotated[
        bool, typer.Option("--foreground", help="Stay; Ctrl-C takes the lab down.")
    ] = False,
    kernel: Annotated[
        str,
        typer.Option(
            "--kernel",
            help="host; guest: a kernel of our own that has all features; auto: a guest if the "
            "host's kernel lacks something.",
        ),
    ] = "host",
    clock: Annotated[
        str,
        typer.Option("--clock", help="In a guest: real, or virtual (see testbed clock)."),
    ] = "auto",
    seed: Annotated[
        int | None,
        typer.Option("--seed", help="Of the guest's randomness.  [default: 1 if virtual]"),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option("--start", help='When virtual time begins, e.g. "2017-07-16 09:56:52".'),
    ] = None,
    backend: Backend = "netns",
    mininet_topo: Annotated[
        str | None,
        typer.Option(
            "--mininet-topo",
            metavar="FILE.py:CLASS",
            help="Instead of a topology: somebody's Mininet Topo class (with arguments behind "
            "commas), or an entry of the file's topos. Mininet builds it.",
            show_default=False,
        ),
    ] = None,
    mininet_args: Annotated[
        str,
        typer.Option(
            "--mininet-args",
            metavar="WORDS",
            help='What mn would be told besides: "--switch ovsbr --link tc,bw=10 --mac".',
            show_default=False,
        ),
    ] = "",
    as_json: Json = False,
) -> None:
    """Bring a topology up.

    The lab stays until it is taken down, also when this terminal is closed. In a guest with a
    virtual clock, time is held while nobody asks for anything.
    """
    if name is not None and not _NAME.fullmatch(name):
        raise typer.BadParameter(
            f"{name!r} is no name for a lab: letters, digits, '.', '_' and '-', at most 64",
            param_hint="--name",
        )
    known_backend(backend)
    model = _model(topology, mininet_topo, mininet_args, seed, backend)
    machine = None
    if (kernel, clock, seed, start) != ("host", "auto", None, None):
        machine = machine_for(model, backend, kernel, clock, seed, start)
    with _ending_signals():
        lab = _bring_up(model, name or model.name, runs, machine, backend, attached=foreground)
        try:
            state = lab.status()
            if as_json:
                say_json(state)
            else:
                say(_welcome(lab.topology, state, foreground=foreground))
            if state["limits"]:
                tell(f"note: as an ordinary user: {state['limits']}")
            if foreground:
                _stay(lab)
        except KeyboardInterrupt:
            if not foreground:
                raise
            tell(f"taking {lab.name} down")
            lab.down()
            tell(f"{lab.name} is down; its record: {lab.run_folder}")


def _model(
    topology: str | None,
    mininet_topo: str | None,
    mininet_args: str,
    seed: int | None,
    backend: str,
) -> Model:
    """What is to be brought up."""
    if (topology is None) == (mininet_topo is None):
        raise typer.BadParameter(
            "name a topology, or a Mininet class by --mininet-topo", param_hint="NAME|FILE"
        )
    if mininet_topo is None:
        if mininet_args:
            raise typer.BadParameter("it goes with --mininet-topo", param_hint="--mininet-args")
        assert topology is not None
        return topology_of(topology, backend)
    import shlex
    from dataclasses import replace

    from testbed.mininet import mininet_topology

    try:
        words = shlex.split(mininet_args)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--mininet-args") from None
    return replace(mininet_topology(mininet_topo, options=words), seed=seed or 0)


def _bring_up(
    model: Model,
    name: str,
    runs: Path | None,
    machine: Machine | None,
    backend: str,
    *,
    attached: bool,
) -> Lab:
    from testbed.lab import Lab
    from testbed.runs import VARIABLE

    if runs is not None:
        os.environ[VARIABLE] = str(runs)
    was_up = _bury(name)
    try:
        with Progress(f"bringing up {name}") as progress:
            if machine is None:
                try:
                    return Lab.up(
                        model, name=name, attached=attached, backend=backend, progress=progress
                    )
                except TestbedError as error:
                    blame_what_is_missing(model, backend, error)
                    raise
            from testbed.guest.interactive.bring_up import up_in_guest

            return up_in_guest(
                model, machine, name=name, attached=attached, backend=backend, progress=progress
            )
    except KeyboardInterrupt:
        if not was_up:
            _await_gone(name)
        tell(f"interrupted: nothing of {name} is running")
        raise typer.Exit(INTERRUPTED) from None


def _bury(name: str) -> bool:
    """Is a lab of that name up?  One whose guest has ended by itself is told of, and makes room."""
    if name not in talk.running():
        return False
    trouble = talk.look(name)
    if not isinstance(trouble, TestbedError):
        return True
    tell(f"note: an earlier {name} has ended by itself: {trouble.what}")
    with suppress(TestbedError):
        talk.status(name)  # its keeper has told it now, and ends
    _await_gone(name)
    return False


def _await_gone(name: str) -> None:
    """Wait until the kernel has ended a lab that nobody waits for any more."""
    deadline = time.monotonic() + _PATIENCE
    while name in talk.running():
        if time.monotonic() > deadline:
            raise LabError(
                f"{name} was interrupted and is still there after {_PATIENCE:g} s",
                hint=f"take it down: testbed down {name}",
            )
        time.sleep(_LOOK_EVERY)


def _welcome(model: Model, state: dict[str, Any], *, foreground: bool) -> str:
    """What to tell about a lab that has come up."""
    lab = state["name"]
    head = f"{bold(lab)} is {good('up')}: {count(len(model.nodes), 'node')}"
    head += f", {count(len(model.links), 'link')}, {count(len(state['services']), 'service')}"
    head += (
        f" ({duration(state['seconds'])})" if "guest" not in state else f", {clocks.words(state)}"
    )
    hosts = [node.name for node in model.nodes if node.role == "host"]
    node = (hosts or [node.name for node in model.nodes] or ["NODE"])[0]
    ends = [end.label for link in model.links for end in link.ends if end.node == node]
    advice = [
        ("enter", f"testbed shell {lab} {node}"),
        ("look", f"testbed status {lab}"),
        ("capture", f"testbed capture {lab} {(ends or ['NODE:INTERFACE'])[0]}"),
        ("events", f"testbed events {lab} --follow"),
        *((("mininet>", f"testbed mininet {lab}"),) if _has_mininet(state) else ()),
        *((("time", f"testbed clock {lab} --by 1h"),) if clocks.is_virtual(state) else ()),
        ("end", "Ctrl-C" if foreground else f"testbed down {lab}"),
        ("record", state["run_folder"]),
    ]
    return "\n".join([head, facts(advice)])


def _has_mininet(state: dict[str, Any]) -> bool:
    return any(node.get("backend") == "mininet" for node in state["nodes"])


def _stay(lab: Lab) -> None:
    """Wait until the lab is taken down by somebody else."""
    # It may have gone before anyone began to wait.
    with suppress(LabNotFoundError), talk.conversation(lab.name) as channel, _until_closed():
        while True:
            channel.receive()
    why = _last_words(lab.run_folder / "events.jsonl")
    if why is None:
        raise LabError(
            f"{lab.name} has ended by itself",
            hint=f"was its supervisor killed? see {lab.run_folder / 'logs' / 'lab.log'}",
        )
    tell(f"{lab.name} was taken down ({why}); its record: {lab.run_folder}")


@contextmanager
def _until_closed() -> Iterator[None]:
    from testbed.kernel.channel import ChannelClosedError

    try:
        yield
    except ChannelClosedError:
        return


@contextmanager
def _ending_signals() -> Iterator[None]:
    """Every polite request to end is treated as Ctrl-C."""

    def interrupt(number: int, frame: object) -> None:
        del number, frame
        raise KeyboardInterrupt

    chosen = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, interrupt) for number in chosen]
    try:
        yield
    finally:
        for number, handler in zip(chosen, before, strict=True):
            signal.signal(number, handler)


def _last_words(events: Path) -> str | None:
    """Why the lab says that it went down; None if it did not come to say so."""
    from testbed.events import LabDown
    from testbed.lab import read_events

    reason = None
    for record in read_events(events):
        if isinstance(record.event, LabDown):
            reason = record.event.reason
    return reason


def down(
    labs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="LAB...",
            help="Labs to take down; may be left out if only one is up.",
            autocompletion=completion.labs,
            show_default=False,
        ),
    ] = None,
    every: Annotated[bool, typer.Option("--all", "-a", help="Take all labs down.")] = False,
) -> None:
    """Take labs down.

    Services end in reverse order, captures are written to their end, then everything else goes at
    once. The record (events, logs, captures) stays.
    """
    if every and labs:
        raise typer.BadParameter("give either names or --all", param_hint="--all")
    if every:
        chosen = talk.running()
        if not chosen:
            say("no lab is up")
    else:
        chosen = list(dict.fromkeys(labs or [talk.chosen(None, "down")]))
    for lab in chosen:
        _take_down(lab)


def _take_down(lab: str) -> None:
    from testbed.kernel.channel import ChannelClosedError, NoAnswerError
    from testbed.supervisor import ending

    folder: object = None
    with talk.conversation(lab) as channel:
        try:
            channel.send({"do": "status"})
            folder = talk.answer(channel, lab, talk.LONGEST_SILENCE)["status"]["run_folder"]
            channel.send({"do": "down"})
            talk.answer(channel, lab)
            channel.answer(lab)  # its end tells that the lab's first process is gone
        except NoAnswerError as error:
            tell(f"{error.what}; it is killed, and what it had yet to write is lost")
            folder = ending.kill(channel, lab) or folder
        except ChannelClosedError:
            pass
    _await_gone(lab)
    say(f"{lab} is down; its record: {folder or 'not known'}")
