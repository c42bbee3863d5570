"""What a sans-IO core hands back for one input: packets to send and events to report."""

from __future__ import annotations

from dataclasses import dataclass

from testbed.events import Event


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one packet or one timer: IP packets to send, in order, and what happened."""

    packets: tuple[bytes, ...] = ()
    events: tuple[Event, ...] = ()


NOTHING = Outcome()
"""The outcome in which nothing is sent and nothing happened."""
