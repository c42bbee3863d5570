"""Does a program wait for its user?  Asked inside the guest, so that time can wait, too.

A program that reads its terminal or its standard input, or waits for it without a limit of time,
and finds nothing there, needs no time but keys.  The kernel tells nobody what a thread waits for,
except a tracer: so the program is stopped for a moment (:mod:`testbed.guest.interactive.tracer`),
which it does not notice, and its system call is read from its registers.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterable
from enum import IntEnum
from pathlib import Path

from testbed.guest.interactive import tracer
from testbed.guest.interactive.tracer import Call

_READ, _POLL, _READV, _SELECT, _EPOLL_WAIT = 0, 7, 19, 23, 232
_PSELECT6, _PPOLL, _EPOLL_PWAIT, _EPOLL_PWAIT2 = 270, 271, 281, 441
_RESTART = 219
_UNLIMITED = 0xFFFF_FFFF
_POLLFD = struct.Struct("=ihh")
_MOST_FDS = 1024
_TTY = os.makedev(5, 0)
"""/dev/tty: whatever terminal the program has."""


class Wait(IntEnum):
    """What a program waits for; the greater counts where there are several."""

    OTHER = 0
    """It computes, or waits for a time or for something that others do."""
    PERHAPS = 1
    """For its user or for others, whoever is first, without a limit of time."""
    USER = 2
    """For its user and nothing else."""


class Watch:
    """Looks now and then at the programs that have one pipe or terminal for their input.

    ``device`` is what ``fstat`` says of it, by the end that the programs have.
    """

    def __init__(self, device: os.stat_result) -> None:
        self._device = device
        self._is_terminal = stat.S_ISCHR(device.st_mode)
        self._seen: dict[int, tuple[str, Wait]] = {}
        self._begun: dict[int, Call] = {}
        self._newest = ""

    def look(self) -> Wait:
        """What they wait for now.  Whoever has not run since the last time is left in peace."""
        newest = Path("/proc/loadavg").read_text().split()[-1]
        switches = {pid: _switches(pid) for pid in self._seen}
        if newest != self._newest or not switches or not all(switches.values()):
            # Somebody was born or has gone: others may read now.
            self._newest = newest
            pids = self._foreground() if self._is_terminal else self._readers()
            switches = {pid: _switches(pid) for pid in pids}
        seen: dict[int, tuple[str, Wait]] = {}
        for pid, count in switches.items():
            before = self._seen.get(pid)
            if before is None or before[0] != count:
                wait = self._wait_of(pid)
                before = (_switches(pid), wait)  # being looked at counts, too
            seen[pid] = before
        self._seen = seen
        return max((wait for _, wait in seen.values()), default=Wait.OTHER)

    def forget(self) -> None:
        """Something was typed or sent: who reads it may have changed."""
        self._newest = ""

    def _foreground(self) -> list[int]:
        """Those to which the terminal's keys go."""
        found = []
        for pid in _processes():
            try:
                words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            group, terminal, foreground = int(words[2]), int(words[4]), int(words[5])
            if terminal == self._device.st_rdev and group == foreground:
                found.append(pid)
        return found

    def _readers(self) -> list[int]:
        """Those that have the pipe for their standard input."""
        return [pid for pid in _processes() if self._is_it(pid, 0)]

    def _wait_of(self, pid: int) -> Wait:
        call = tracer.call_of(pid)
        if call is not None and call.number == _RESTART:
            # A poll that goes on after we have looked: it is what it was.
            begun = self._begun.get(pid)
            call = begun if begun is not None and begun.arguments == call.arguments else None
        if call is None:
            return Wait.OTHER
        self._begun[pid] = call
        if call.number in (_READ, _READV):
            return Wait.USER if self._is_it(pid, call.arguments[0]) else Wait.OTHER
        waited_for = list(_waited_for(pid, call))
        its = [self._is_it(pid, descriptor) for descriptor in waited_for]
        if its and all(its):
            return Wait.USER
        if any(its) or any(_listens_to_packets(pid, descriptor) for descriptor in waited_for):
            return Wait.PERHAPS
        return Wait.OTHER

    def _is_it(self, pid: int, descriptor: int) -> bool:
        try:
            theirs = Path(f"/proc/{pid}/fd/{descriptor}").stat()
        except OSError:
            return False
        if self._is_terminal:
            return stat.S_ISCHR(theirs.st_mode) and theirs.st_rdev in (self._device.st_rdev, _TTY)
        return (theirs.st_dev, theirs.st_ino) == (self._device.st_dev, self._device.st_ino)


def _waited_for(pid: int, call: Call) -> Iterable[int]:
    """The descriptors of a wait without a limit of time; none if it is no such call."""
    first, second, third, fourth, fifth = call.arguments
    match call.number:
        case number if number == _POLL and third & _UNLIMITED == _UNLIMITED:
            return _polled(pid, first, second)
        case number if number == _PPOLL and third == 0:
            return _polled(pid, first, second)
        case number if number in (_SELECT, _PSELECT6) and fifth == 0:
            return _selected(pid, first, second)
        case number if number in (_EPOLL_WAIT, _EPOLL_PWAIT) and fourth & _UNLIMITED == _UNLIMITED:
            return _in_epoll(pid, first)
        case number if number == _EPOLL_PWAIT2 and fourth == 0:
            return _in_epoll(pid, first)
    return ()


def _polled(pid: int, address: int, count: int) -> Iterable[int]:
    data = _memory(pid, address, min(count, _MOST_FDS) * _POLLFD.size)
    whole = len(data) - len(data) % _POLLFD.size
    return [descriptor for descriptor, _, _ in _POLLFD.iter_unpack(data[:whole]) if descriptor >= 0]


def _selected(pid: int, count: int, address: int) -> Iterable[int]:
    bits = int.from_bytes(_memory(pid, address, (min(count, _MOST_FDS) + 7) // 8), "little")
    return [number for number in range(min(count, _MOST_FDS)) if bits >> number & 1]


def _in_epoll(pid: int, descriptor: int) -> Iterable[int]:
    try:
        lines = Path(f"/proc/{pid}/fdinfo/{descriptor}").read_text().splitlines()
    except OSError:
        return []
    return [int(line.split()[1]) for line in lines if line.startswith("tfd:")]


def _memory(pid: int, address: int, size: int) -> bytes:
    if not address or not size:
        return b""
    try:
        memory = os.open(f"/proc/{pid}/mem", os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.pread(memory, size, address)
        finally:
            os.close(memory)
    except OSError:
        return b""


def _listens_to_packets(pid: int, descriptor: int) -> bool:
    """Is it a packet socket, as tcpdump has?"""
    try:
        inode = str(Path(f"/proc/{pid}/fd/{descriptor}").readlink())
        lines = Path(f"/proc/{pid}/net/packet").read_text().splitlines()[1:]
    except OSError:
        return False
    return any(f"socket:[{line.split()[-1]}]" == inode for line in lines)


def _processes() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _switches(pid: int) -> str:
    """Changes whenever the process has run."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return ""
    return " ".join(line for line in lines if "ctxt_switches" in line)
