"""A timer that is a descriptor, exact to the nanosecond (timerfd_create(2)).

``sleep``, ``poll`` and ``epoll`` may come up to 50 microseconds late (the timer slack of
prctl(2)), and event loops round up to milliseconds on top of that.  A timer of this kind has
neither: under a virtual clock it goes off at the very moment it was set to.
"""

from __future__ import annotations

import ctypes
import os
import time
from types import TracebackType
from typing import Self

_libc = ctypes.CDLL(None, use_errno=True)
_TFD_TIMER_ABSTIME = 1
_SECOND = 10**9


class _Times(ctypes.Structure):
    """struct itimerspec: interval, then first expiry, each as seconds and nanoseconds."""

    _fields_ = [(name, ctypes.c_long) for name in ("every_s", "every_ns", "first_s", "first_ns")]


class Timer:
    """One timer on CLOCK_MONOTONIC; readable when it has gone off."""

    def __init__(self) -> None:
        flags = os.O_CLOEXEC | os.O_NONBLOCK
        self._descriptor = _checked(_libc.timerfd_create(time.CLOCK_MONOTONIC, flags))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def fileno(self) -> int:
        """The descriptor, for waiting."""
        return self._descriptor

    def set(self, monotonic_ns: int) -> None:
        """Go off when ``time.monotonic_ns()`` is that; at once if it has been."""
        seconds, nanoseconds = divmod(max(1, monotonic_ns), _SECOND)  # zero would switch it off
        times = _Times(0, 0, seconds, nanoseconds)
        _checked(
            _libc.timerfd_settime(self._descriptor, _TFD_TIMER_ABSTIME, ctypes.byref(times), None)
        )

    def stop(self) -> None:
        """Do not go off."""
        _checked(_libc.timerfd_settime(self._descriptor, 0, ctypes.byref(_Times()), None))

    def clear(self) -> None:
        """Take notice that it has gone off: it is readable no more."""
        try:
            os.read(self._descriptor, 8)
        except BlockingIOError:
            return

    def wait(self) -> None:
        """Block until it goes off."""
        os.set_blocking(self._descriptor, True)
        try:
            os.read(self._descriptor, 8)
        finally:
            os.set_blocking(self._descriptor, False)

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self._descriptor)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"timerfd: {os.strerror(number)}")
    return result
