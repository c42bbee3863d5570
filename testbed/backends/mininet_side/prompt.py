"""The ``mininet>`` prompt, in a child of its own for each who asks for it.

The child has a copy of the network's Python objects, so nothing typed there can end the network;
what is changed of them (not of the kernel's network) is forgotten when the prompt is left.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import sys
import termios
import traceback
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn, TextIO

from mininet import log as mininet_log
from mininet.cli import CLI
from mininet.log import error
from mininet.net import Mininet

from testbed.backends.mininet_side.quiet import complaints

_ENDING = (signal.SIGTERM, signal.SIGHUP)
_SENTINEL = chr(127)
"""The prompt of a node's shell, as Mininet has it."""
_PATIENCE_MS = 500
_INTERRUPTS = 3


class Prompt(CLI):
    """Mininet's own prompt; it leaves no history file behind."""

    identchars = CLI.identchars + "-."  # nodes may be named pc-a1

    def onecmd(self, line: str) -> bool:
        """Do a line; what Mininet stumbles over ends the line and not the session."""
        try:
            return bool(super().onecmd(line))
        except Exception as problem:  # noqa: BLE001  # Mininet's commands raise whatever they like
            error(f"*** {line.strip()}: {type(problem).__name__}: {problem}\n")
            return False

    @classmethod
    def initReadline(cls) -> None:  # noqa: N802  # Mininet's name
        """The lines of this session are remembered in this session only."""


class _Hearing(Prompt):
    """Takes its lines from us, and gives running programs no input."""

    def run(self) -> None:
        """Nothing yet; each line comes by :meth:`onecmd`."""


class _NoReturns:
    """Standard output without the carriage returns of the nodes' terminals."""

    def write(self, text: str) -> None:
        """Write it."""
        sys.stdout.write(text.replace("\r", ""))

    def flush(self) -> None:
        """Flush it."""
        sys.stdout.flush()


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
        for number in _ENDING:
            signal.signal(number, _leave)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for wanted, descriptor in enumerate(descriptors):
            os.dup2(descriptor, wanted)
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
        # What is asked for is no error.
        mininet_log.lg.ch.stream = sys.stdout if os.isatty(1) else _NoReturns()
        if untidy:
            _tidy(net)
        status = _talk(net, lines)
    except SystemExit as leaving:
        status = leaving.code if isinstance(leaving.code, int) else 1
    except KeyboardInterrupt:
        status = 128 + signal.SIGINT
    except BaseException:  # noqa: BLE001  # a child must never return
        traceback.print_exc()
    finally:
        _end(net, status)


def _end(net: Mininet, status: int) -> NoReturn:
    try:
        for number in _ENDING:  # one is enough
            signal.signal(number, signal.SIG_IGN)
        _stop_commands(net)
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
        if not _answers(node, "first"):
            node.sendInt()
            if not _answers(node, "second"):
                error(f"*** {node.name} is still busy with a command that was left to itself\n")


def _answers(node: Any, word: str) -> bool:
    """Does the node's shell do at once what it is told?  What it printed before is dropped."""
    node.write(f"echo {word[0]}''{word[1:]}\n")
    seen = ""
    poll = select.poll()  # not the node's own, which is content when it may write
    poll.register(node.stdout, select.POLLIN)
    while node.readbuf or poll.poll(_PATIENCE_MS):
        seen += node.read(1024)
        if seen.rpartition(word)[1] and seen.endswith(_SENTINEL):
            return True
    return False


def _stop_commands(net: Mininet) -> None:
    """End what runs in the foreground of the nodes' shells, as far as it lets itself be ended."""
    for node in _nodes(net):
        poll = select.poll()
        poll.register(node.stdout, select.POLLIN)
        for _ in range(_INTERRUPTS):  # iperf, for one, wants to be told twice
            if not node.waiting:
                break
            node.sendInt()
            while node.waiting and (node.readbuf or poll.poll(_PATIENCE_MS)):
                node.monitor()
