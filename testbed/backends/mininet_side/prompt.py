"""The ``mininet>`` prompt, in a child of its own for each who asks for it.

The child has a copy of the network's Python objects, so nothing typed there can end the network;
what is changed of them (not of the kernel's network) is forgotten when the prompt is left.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import termios
import traceback
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn, TextIO

from mininet import log as mininet_log
from mininet.cli import CLI
from mininet.net import Mininet

from testbed.backends.mininet_side.quiet import complaints


class Prompt(CLI):
    """Mininet's own prompt; it leaves no history file behind."""

    @classmethod
    def initReadline(cls) -> None:  # noqa: N802  # Mininet's name
        """The lines of this session are remembered in this session only."""


class _Hearing(Prompt):
    """Takes its lines from us, and gives running programs no input."""

    def run(self) -> None:
        """Nothing yet; each line comes by :meth:`onecmd`."""


def open_prompt(
    net: Mininet,
    lines: Sequence[str],
    descriptors: Sequence[int],
    *,
    environment: dict[str, str],
    folder: str,
    terminal: bool,
    untidy: bool,
) -> int:
    """Open it in a child, on these descriptors 0, 1 and 2; returns the child's process number.

    Args:
        net: the network.
        lines: what to do; if there is none, what is typed or comes from descriptor 0.
        descriptors: input, output, errors.
        environment: of the child.
        folder: where it works.
        terminal: descriptor 0 is to be its controlling terminal.
        untidy: the last prompt was ended by force: the nodes' shells may be in the middle of
            something.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        _be_prompt(net, lines, descriptors, environment, folder, terminal, untidy)
    return pid


def _be_prompt(
    net: Mininet,
    lines: Sequence[str],
    descriptors: Sequence[int],
    environment: dict[str, str],
    folder: str,
    terminal: bool,
    untidy: bool,
) -> NoReturn:
    status = 1
    try:
        os.setsid()
        for ending in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(ending, _leave)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for number, descriptor in enumerate(descriptors):
            os.dup2(descriptor, number)
            os.close(descriptor)
        if terminal:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        os.environ.clear()
        os.environ.update(environment)
        try:
            os.chdir(folder)
        except OSError:
            os.chdir("/")
        sys.stdin = open(0, closefd=False, errors="replace")  # noqa: SIM115  # a descriptor
        mininet_log.lg.ch.stream = sys.stdout  # what is asked for is no error
        if untidy:
            _tidy(net)
        status = _talk(net, lines)
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
    except KeyboardInterrupt:
        status = 128 + signal.SIGINT
    except BaseException:  # noqa: BLE001  # a child must never return
        traceback.print_exc()
    finally:
        _stop_commands(net)
        try:
            sys.stdout.flush()
        finally:
            os._exit(status)


def _leave(number: int, frame: object) -> NoReturn:
    del frame
    sys.exit(128 + number)


def _talk(net: Mininet, lines: Sequence[str]) -> int:
    complaints.lines.clear()
    if not lines and os.isatty(0):
        Prompt(net, stdin=sys.stdin)
        return 0
    return _carry_out(net, lines or sys.stdin)


def _carry_out(net: Mininet, lines: Iterable[str]) -> int:
    """Do line after line; 1 if Mininet complained of one."""
    mininet_log.setLogLevel("output")  # "*** Starting CLI" is for people
    # Never readable, and never at its end: a program that runs in a node gets no keys from here.
    nothing, keep = os.pipe()
    stdin: TextIO
    with os.fdopen(nothing) as stdin:
        cli = _Hearing(net, stdin=stdin)
        for line in lines:
            if cli.onecmd(cli.precmd(line.rstrip("\n"))):
                break
    os.close(keep)
    return 1 if complaints.lines else 0


def _nodes(net: Mininet) -> list[Any]:
    return [node for node in net.values() if node.shell]


def _tidy(net: Mininet) -> None:
    """Bring shells that were left in the middle of something back to their prompt."""
    for node in _nodes(net):
        node.sendInt()
        node.waiting = True
        node.waitOutput()
        while node.waitReadable(0):
            node.read(1024)


def _stop_commands(net: Mininet) -> None:
    for node in _nodes(net):
        if node.waiting:
            node.sendInt()
            node.waitOutput()
