"""``testbed clock``: look at a lab's virtual time, let it pass, hold it."""

from __future__ import annotations

import sys
import time
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from testbed.cli import clocks, talk
from testbed.cli.arguments import LABS, Json, OptionalLab
from testbed.cli.output import INTERRUPTED, Progress, bold, duration, facts, say, say_json, tell
from testbed.errors import LabError

if TYPE_CHECKING:
    from testbed.kernel.channel import Channel

_FASTEST = 1e6
_SHOW_EVERY_S = 0.2


def register(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command("clock", rich_help_panel=LABS)(clock)


def clock(
    lab: OptionalLab = None,
    *,
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="MOMENT",
            help='Let time pass until then: "2017-07-16 09:56:52", "09:57", "+3h" from now, '
            'or "3h" after the lab came up.',
        ),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option("--by", metavar="DURATION", help='Let so much time pass: "6h", "1h 30min".'),
    ] = None,
    run: Annotated[
        bool, typer.Option("--run", help="Let time flow like ours from now on, asked for or not.")
    ] = False,
    speed: Annotated[
        float | None,
        typer.Option(
            "--speed", min=0.001, max=_FASTEST, help="With --run: so many times as fast as ours."
        ),
    ] = None,
    hold: Annotated[
        bool, typer.Option("--hold", help="Hold time where it is, and stop every --to and --by.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show the virtual time of a lab in a guest, let it pass, or hold it.

    While it is held, time moves only as far as a command needs: exec of a sleep of an hour takes an
    hour of it, and a moment of yours. Ctrl-C stops --to and --by where time is then.
    """
    if sum((to is not None, by is not None, run, hold)) > 1:
        raise typer.BadParameter("only one of --to, --by, --run and --hold at a time")
    if speed is not None and not run:
        raise typer.BadParameter("it goes with --run", param_hint="--speed")
    name = talk.chosen(lab, "clock")
    state = _virtual(name, talk.status(name))
    if to is not None or by is not None:
        _let_pass(name, state, _until(state, to, by), as_json=as_json)
        return
    if run:
        state = talk.ask(name, {"do": "clock", "action": "run", "speed": speed or 1.0})["clock"]
    elif hold:
        state = talk.ask(name, {"do": "clock", "action": "hold"})["clock"]
    _show(name, state, as_json=as_json)


def _virtual(name: str, status: dict[str, Any]) -> dict[str, Any]:
    """The clock of a lab, if it can be told what to do."""
    if clocks.is_virtual(status):
        state = status["guest"]["clock"]
        assert isinstance(state, dict)
        return state
    whose = "its guest's" if "guest" in status else "the host's kernel's"
    raise LabError(
        f"the clock of {name!r} is {whose}, which shows real time and waits for nobody",
        hint="bring a lab up with a clock of its own: "
        "testbed up TOPOLOGY --kernel guest --clock virtual",
    )


def _until(state: dict[str, Any], to: str | None, by: str | None) -> datetime:
    """The moment that is asked for.

    Raises:
        MomentError: it is none, or past.
    """
    from testbed.moments import (
        MomentError,
        format_duration,
        format_moment,
        from_ns,
        later,
        parse_duration,
        parse_moment,
    )

    now, up = from_ns(int(state["now_ns"])), from_ns(int(state["up_ns"]))
    try:
        if by is not None:
            return later(now, parse_duration(by))
        assert to is not None
        until = parse_moment(to, now, up)
    except MomentError as error:
        option = "--by" if by is not None else "--to"
        raise MomentError(error.what, where=option, hint=error.hint) from error
    if until < now:
        raise MomentError(
            f"{format_moment(until)} was {format_duration(now - until)} ago, and time does not "
            "run backwards",
            where="--to",
            hint=f"the clock shows {format_moment(now)}; the lab came up at {format_moment(up)}; "
            "testbed up --start MOMENT begins anywhere",
        )
    return until


def _let_pass(name: str, before: dict[str, Any], until: datetime, *, as_json: bool) -> None:
    from testbed.moments import to_ns

    began = time.monotonic()
    with talk.conversation(name) as channel, Progress(name) as progress:
        wish = {"do": "clock", "action": "advance", "until_ns": to_ns(until)}
        channel.send(wish)
        interrupted = False
        while True:
            try:
                answer = _await(channel, progress, int(before["now_ns"]), to_ns(until))
                break
            except KeyboardInterrupt:
                if interrupted:
                    raise
                interrupted = True
                channel.send({"do": "clock", "action": "stop"})
    state = answer["clock"]
    if as_json:
        say_json({**_json(name, state), "arrived": answer["arrived"]})
    else:
        passed = clocks.span(int(state["now_ns"]) - int(before["now_ns"]))
        took = duration(time.monotonic() - began)
        say(f"{bold(name)}: {clocks.moment(state)}, {clocks.manner(state)} ({passed} in {took})")
    if not answer["arrived"]:
        tell("stopped on the way" if interrupted else "stopped on the way by testbed clock --hold")
        raise typer.Exit(INTERRUPTED if interrupted else 1)


def _await(channel: Channel, progress: Progress, began_ns: int, until_ns: int) -> dict[str, Any]:
    """The answer to a wish for time; what comes before it is shown on a terminal."""
    shown = time.monotonic()
    while True:
        message = talk.answer(channel)
        if "progress" not in message:
            return message
        if sys.stderr.isatty() and time.monotonic() - shown > _SHOW_EVERY_S:
            shown = time.monotonic()
            now_ns = int(message["progress"]["now_ns"])
            part = (now_ns - began_ns) / max(1, until_ns - began_ns)
            progress(f"{clocks.moment(message['progress'])}, {part:.0%}; Ctrl-C stops here")


def _show(name: str, state: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        say_json(_json(name, state))
        return
    say(f"{bold(name)}: {clocks.moment(state)}, {clocks.manner(state)}")
    say(facts([("up for", clocks.since_up(state))]))


def _json(name: str, state: dict[str, Any]) -> dict[str, Any]:
    return {"lab": name, "now": clocks.exact(state), **state}
