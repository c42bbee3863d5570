"""The keeper's end of the talk with the agent: what waits to be said, and when it can be."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any

from testbed.guest.boot import Guest
from testbed.guest.interactive.talk import HOLD, PACE, POLL, Message, pack
from testbed.guest.link import Kind

_AGAIN_S = (0.25, 1.0, 4.0)
"""After so much time of ours the agent looks again whether programs still wait for their user.
What a program has just printed is now and then still on its way in the guest when time is held."""

_RING_AGAIN_S = 0.5


@dataclass(slots=True)
class _Anchor:
    """Running time: what the wall clock and the guest's showed at the same moment."""

    wall_ns: int
    guest_ns: int
    speed: float


class GuestTalk:
    """Says things to the agent when it rests, and rings when it does not."""

    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        self._loop = asyncio.get_running_loop()
        self._queue: list[bytes] = []
        self._resting: str | None = None
        self._rung = False
        self._may_ring = False
        self._anchor: _Anchor | None = None
        self._pacing: asyncio.TimerHandle | None = None
        self._looks = 0

    @property
    def waits(self) -> bool:
        """Does the agent, and so the whole guest, wait for a word?"""
        return self._resting is not None

    def listen(self) -> None:
        """From now on the agent hears the bell; it is rung for whatever waits to be said."""
        self._may_ring = True
        self._ring()

    def say(self, message: Message, data: bytes = b"") -> None:
        """Tell the agent something, as soon as it can be."""
        self._looks = 0
        self._queue.append(pack(message, data))
        if self._resting is not None:
            self._go_on()
        else:
            self._ring()

    def _ring(self) -> None:
        """Have the agent come and listen.  A bell that the kernel did not take is rung again."""
        if not self._queue or self._resting is not None or not self._may_ring or self._rung:
            return
        self._rung = self._guest.interrupt()
        if not self._rung:
            self._loop.call_later(_RING_AGAIN_S, self._ring)

    def rests(self, how: str, clock: dict[str, Any], programs: bool) -> None:
        """The agent rests; ``programs`` tells that it holds time for some that wait for a user."""
        self._resting = how
        self._rung = False
        if how != PACE:
            self._anchor = None
        if how == POLL or self._queue:
            self._go_on()
        elif how == HOLD and programs and self._looks < len(_AGAIN_S):
            self._pacing = self._loop.call_later(_AGAIN_S[self._looks], self._go_on)
            self._looks += 1
        elif how == PACE:
            left = self._ahead(clock)
            if left <= 0:
                self._go_on()
            else:
                self._pacing = self._loop.call_later(left, self._go_on)

    def _ahead(self, clock: dict[str, Any]) -> float:
        """Seconds that the guest's running time is before the wall clock's."""
        now, guest_ns = time.monotonic_ns(), int(clock["now_ns"])
        speed = float(clock["speed"])
        if self._anchor is None or self._anchor.speed != speed:
            self._anchor = _Anchor(now, guest_ns, speed)
        due = self._anchor.wall_ns + (guest_ns - self._anchor.guest_ns) / speed
        left = (due - now) / 1e9
        if left < -1.0:  # it cannot keep up, or somebody skipped: it need not catch up later
            self._anchor = None
        return left

    def _go_on(self) -> None:
        if self._pacing is not None:
            self._pacing.cancel()
            self._pacing = None
        self._resting = None
        waiting, self._queue = self._queue, []
        for content in (*waiting, pack({"go": True})):
            self._guest.send(Kind.TALK, content)
