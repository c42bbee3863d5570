"""System calls that only the guest's first program makes."""

from __future__ import annotations

import ctypes
import os

_PIVOT_ROOT = 155  # x86-64; glibc has no function for it
_CAD_OFF = 0
_POWER_OFF = 0x4321FEDC

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def pivot_root(new: str, old: str) -> None:
    """pivot_root(2): ``new`` becomes the root, the old root goes to ``old``."""
    _check(_libc.syscall(_PIVOT_ROOT, new.encode(), old.encode()), "pivot_root")


def interrupt_on_ctrl_alt_del() -> None:
    """reboot(2): from now on the host's "ctrl-alt-del" is a SIGINT for pid 1."""
    _check(_libc.reboot(_CAD_OFF), "reboot(CAD_OFF)")


def power_off() -> None:
    """reboot(2): end the machine, at once. Does not return."""
    _check(_libc.reboot(_POWER_OFF), "reboot(POWER_OFF)")
