"""A captured packet as a line of text: when, where, what, and what components say about it."""

from __future__ import annotations

import time

from testbed.cli.output import bad, faint, good
from testbed.evidence.pcapng_reader import Packet
from testbed.evidence.report.frames import describe_frame

_ARROWS = {None: " ", True: good(">"), False: faint("<")}


def packet_line(packet: Packet) -> str:
    """One line about a packet, with an arrow out of the node or into it; comments follow in red."""
    where = packet.interface.name.replace("/", ":", 1)  # as users write it
    what = describe_frame(packet.data, packet.interface.link_type).summary
    line = f"{_clock(packet.time_ns)} {where} {_ARROWS[packet.outgoing]} {what}"
    return " ".join([line, *(bad(f"[{comment}]") for comment in packet.comments)])


def _clock(time_ns: int | None) -> str:
    """Local time of day to the microsecond."""
    if time_ns is None:
        return "--:--:--.------"
    seconds, rest = divmod(time_ns, 1_000_000_000)
    return f"{time.strftime('%H:%M:%S', time.localtime(seconds))}.{rest // 1000:06d}"
