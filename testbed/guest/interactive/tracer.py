"""Which system call a process is in, by stopping it for a moment (ptrace(2), x86-64)."""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass

_SEIZE, _INTERRUPT, _GETREGS, _DETACH = 0x4206, 0x4207, 12, 17
_WALL = 0x4000_0000

# struct user_regs_struct (sys/user.h), in units of 8 bytes.
_REGISTERS = 27
_R10, _R8, _RDX, _RSI, _RDI, _ORIG_RAX = 7, 9, 12, 13, 14, 15

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long


@dataclass(frozen=True, slots=True)
class Call:
    """A system call and its first five arguments."""

    number: int
    arguments: tuple[int, int, int, int, int]


def call_of(pid: int) -> Call | None:
    """The call that a process's first thread is in; None if it has gone or has a tracer already.

    The process does not notice: a call that waits is begun again, with what was left of its time.
    """
    if _libc.ptrace(_SEIZE, pid, None, None) != 0:
        return None
    values = (ctypes.c_uint64 * _REGISTERS)()
    on_its_way = 0
    try:
        if _libc.ptrace(_INTERRUPT, pid, None, None) != 0:
            return None
        _, status = os.waitpid(pid, _WALL)
        if not os.WIFSTOPPED(status):
            return None
        if status >> 16 == 0:
            # Not our stop: a signal came first.  It must get it, and then it will not wait.
            on_its_way = os.WSTOPSIG(status)
            return None
        if _libc.ptrace(_GETREGS, pid, None, ctypes.cast(values, ctypes.c_void_p)) != 0:
            return None
    except ChildProcessError:
        return None
    finally:
        _libc.ptrace(_DETACH, pid, None, on_its_way or None)
    first, second, third, fourth, fifth = (
        int(values[register]) for register in (_RDI, _RSI, _RDX, _R10, _R8)
    )
    return Call(int(values[_ORIG_RAX]), (first, second, third, fourth, fifth))
