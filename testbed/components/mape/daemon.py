"""The thin shell around a CE or BR core: packets between the kernel and the core, timers, signals.

The shell decides nothing about packets.  It reads them from the device, gives them to the core
with the present time, writes back what the core wants sent, and hands on the events.  Whatever goes
wrong inside the core costs that one packet: it is reported as ``internal-error`` and the next one
is read.

Signals: TERM and INT end it, USR1 reports the counters as an event, HUP reads the configuration
again.
"""

from __future__ import annotations

import json
import select
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from typing import Protocol

from testbed.components.mape.reasons import Reason
from testbed.components.mape.work import drops_by_name
from testbed.components.napt.drops import DropLog
from testbed.components.packet.outcome import Outcome
from testbed.errors import TestbedError
from testbed.events import Emitter, Event, Note

_PACKETS_PER_WAKE_UP = 256
_LONGEST_TRACE = 2000

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP)


class Core(Protocol):
    """A sans-IO packet core; times are in seconds of the monotonic clock."""

    def receive(self, packet: bytes, now: float) -> Outcome:
        """Take one packet."""

    def next_timer(self) -> float | None:
        """When ``handle_timer`` is due."""

    def handle_timer(self, now: float) -> Outcome:
        """Do what is due."""

    def counters(self) -> dict[str, int]:
        """Packets by fate."""

    def close(self) -> tuple[Event, ...]:
        """End what is under way; another core takes over."""


class Device(Protocol):
    """Where packets come from and go to; a :class:`~testbed.kernel.tun.TunDevice`."""

    def fileno(self) -> int:
        """The descriptor to wait on."""

    def read(self) -> bytes | None:
        """The next packet, or None."""

    def write(self, packet: bytes) -> None:
        """Send a packet."""


class Shell:
    """Moves packets until told to stop.

    Args:
        core: what decides.
        device: where packets come from and go to.
        emitter: where events go.
        component: the name under which the shell's own drops are reported.
        reload: called for HUP; returns the core to go on with.  A :class:`TestbedError` from it is
            reported and the old core goes on.
    """

    def __init__(
        self,
        core: Core,
        device: Device,
        emitter: Emitter,
        *,
        component: str,
        reload: Callable[[Core], Core] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.core = core
        self._device = device
        self._emitter = emitter
        self._drops = DropLog(component)
        self._reload = reload
        self._clock = clock
        self._stopped = False
        self._failed_timer: float | None = None

    def run(self, ready: Callable[[], object] = lambda: None) -> None:
        """Serve until :meth:`stop` or a signal ends it; call it in the main thread.

        ``ready`` is called once signals are taken care of and packets are about to be read.
        """
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            theirs.setblocking(False)
            before = {number: signal.signal(number, _ignore) for number in SIGNALS}
            wakeup = signal.set_wakeup_fd(theirs.fileno())
            try:
                ready()
                self._serve(ours)
            finally:
                signal.set_wakeup_fd(wakeup)
                for number, handler in before.items():
                    signal.signal(number, handler)

    def stop(self) -> None:
        """End :meth:`run` before the next wait."""
        self._stopped = True

    def counters(self) -> dict[str, int]:
        """The core's counters and the shell's own drops."""
        return self.core.counters() | drops_by_name(self._drops)

    def _serve(self, signals: socket.socket) -> None:
        poll = select.poll()
        poll.register(signals, select.POLLIN)
        poll.register(self._device, select.POLLIN)
        while not self._stopped:
            ready = {descriptor for descriptor, _ in poll.poll(self._milliseconds())}
            if signals.fileno() in ready:
                for number in signals.recv(64):
                    self._signal(number)
            if self._device.fileno() in ready:
                self._drain()
            self._timers()

    def _milliseconds(self) -> float | None:
        due = self._due()
        if due is None:
            return None
        # poll() cuts off fractions: rounding up keeps it from waking just before the time.
        return max(0.0, (due - self._clock()) * 1000 + 1)

    def _due(self) -> float | None:
        """The core's next timer, unless handling that very one has failed before."""
        due = self.core.next_timer()
        return None if due == self._failed_timer else due

    def _drain(self) -> None:
        for _ in range(_PACKETS_PER_WAKE_UP):
            packet = self._device.read()
            if packet is None:
                return
            try:
                outcome = self.core.receive(packet, self._clock())
            except Exception:  # noqa: BLE001 - a bug must cost one packet, not the network
                self._internal_error(packet)
            else:
                self._carry_out(outcome)

    def _timers(self) -> None:
        due = self._due()
        now = self._clock()
        if due is None or due > now:
            return
        try:
            outcome = self.core.handle_timer(now)
        except Exception:  # noqa: BLE001 - as above
            self._failed_timer = due
            self._internal_error(b"")
        else:
            self._carry_out(outcome)

    def _carry_out(self, outcome: Outcome) -> None:
        for packet in outcome.packets:
            try:
                self._device.write(packet)
            except OSError as error:
                detail = error.strerror or str(error)
                self._emit(
                    self._drops.drop(Reason.NOT_SENT, packet, "device egress", detail=detail)
                )
        for event in outcome.events:
            self._emit(event)

    def _internal_error(self, packet: bytes) -> None:
        trace = traceback.format_exc()
        sys.stderr.write(trace)
        self._emit(
            self._drops.drop(Reason.INTERNAL_ERROR, packet, "core", detail=trace[-_LONGEST_TRACE:])
        )

    def _emit(self, event: Event) -> None:
        self._emitter.emit(event)

    def _signal(self, number: int) -> None:
        if number == signal.SIGUSR1:
            self._emit(Note("counters " + json.dumps(self.counters())))
        elif number == signal.SIGHUP:
            self._read_again()
        else:
            self.stop()

    def _read_again(self) -> None:
        if self._reload is None:
            return
        try:
            self.core = self._reload(self.core)
        except TestbedError as error:
            sys.stderr.write(f"the old configuration stays: {error}\n")
            self._emit(Note(f"the old configuration stays: {error}"))


def _ignore(number: int, frame: object) -> None:
    """Signals are taken from the wake-up descriptor."""
