"""``testbed capture``: packets of any interfaces of a lab, to read, to keep or to stream."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from testbed.cli import clocks, completion, talk
from testbed.cli.arguments import LOOK, Lab
from testbed.cli.output import count, say, tell
from testbed.errors import LabError, TestbedError

if TYPE_CHECKING:
    from testbed.cli.capture_stream import CaptureStream


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command("capture", rich_help_panel=LOOK)(capture)


def capture(
    lab: Lab,
    *,
    interfaces: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NODE:INTERFACE...",
            help="Where to listen; everywhere if left out.",
            autocompletion=completion.interfaces,
            show_default=False,
        ),
    ] = None,
    write: Annotated[
        str | None,
        typer.Option(
            "--write",
            "-w",
            metavar="FILE|-",
            help="Write pcapng to a file, or to stdout (-w - | wireshark -k -i -).  "
            "[default: print a line for each packet]",
        ),
    ] = None,
    expression: Annotated[
        str, typer.Option("--filter", "-f", metavar="FILTER", help="As for tcpdump: 'tcp port 80'.")
    ] = "",
    packets: Annotated[
        int | None, typer.Option("--count", "-c", min=1, help="End after this many packets.")
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option("--seconds", "-s", min=0.001, help="End after this time of the lab's clock."),
    ] = None,
) -> None:
    """Capture packets until Ctrl-C.

    They are printed, one line each, or written as pcapng to a file or to stdout. At the end, the
    numbers of packets captured and lost are told on stderr.
    """
    from testbed.cli.capture_stream import CaptureStream

    if write == "-" and sys.stdout.isatty():
        raise typer.BadParameter(
            "pcapng is not for a terminal; pipe it (| wireshark -k -i -) or give a file",
            param_hint="--write",
        )
    state = talk.status(lab)
    chosen = tuple(interfaces or (end.label for end in talk.ends(state["run_folder"])))
    now_ns = state["guest"]["clock"]["now_ns"] if clocks.is_virtual(state) else None
    with CaptureStream(lab, chosen, expression) as stream, _output(write) as file:
        stream.end_after(packets, seconds, now_ns)
        tell(f"capturing on {', '.join(chosen)}; Ctrl-C ends it")
        if file is None:
            _print(stream)
        else:
            stream.copy_to(file)
        end = stream.finish()
    kept = f" in {write}" if write not in (None, "-") else ""
    lost = "the lab went down meanwhile" if end.lost is None else f"{end.lost} lost"
    tell(f"{count(stream.packets, 'packet')}{kept}" + (f", {lost}" if not end.trouble else ""))
    if end.trouble:
        raise LabError(f"the capture is incomplete: {end.trouble}", where=write)


@contextmanager
def _output(write: str | None) -> Iterator[BinaryIO | None]:
    """Where pcapng goes; None when packets are printed instead."""
    if write is None:
        yield None
    elif write == "-":
        yield sys.stdout.buffer
    else:
        try:
            file = Path(write).open("wb", buffering=0)  # noqa: SIM115  # closed below
        except OSError as error:
            raise TestbedError(
                f"cannot write the capture: {error.strerror}",
                where=write,
                hint="choose another place with -w",
            ) from error
        with file:
            yield file


def _print(stream: CaptureStream) -> None:
    from testbed.cli.packet_lines import packet_line
    from testbed.evidence.pcapng_reader import PcapngReader

    for packet in PcapngReader(stream.as_file(), partial_end=True):
        say(packet_line(packet))
