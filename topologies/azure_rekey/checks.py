"""What must hold for the tunnel whatever the lifetimes: judged from traffic, events and wire."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from testbed.evidence.sa.history import History, Sa
from topologies.azure_rekey.topology import MSS, VM
from topologies.azure_rekey.topology import PC as PC_ADDRESS
from topologies.azure_rekey.wire import CREATE_CHILD_SA, Wire, fields, nanoseconds, unmatched

RTX, AZURE = "rtx/wan", "azure/wan"
PC, VM_END = "pc/eth0", "vm/eth0"
_SLACK_NS = 2 * 10**9
_ECHO_REQUEST, _ECHO_REPLY = "8", "0"


def lost_on_the_way(wire: Wire) -> list[str]:
    """ESP packets that one end sent and the other did not get."""
    return [
        f"ESP {spi} number {sequence} of {sender}: seen {count:+d} times more at {RTX}"
        for (sender, spi, sequence), count in sorted(unmatched(wire.esp, RTX, AZURE).items())
    ]


def lost_inside(capture: Path) -> list[str]:
    """Packets of the branch and of the VNet that went in at one end and did not come out."""
    rows = fields(
        capture,
        f"frame.interface_name in {{{PC!r}, {VM_END!r}}} && ip".replace("'", '"'),
        *("frame.interface_name", "ip.src", "ip.id", "ip.proto", "icmp.seq", "tcp.seq", "tcp.len"),
    )
    counts: Counter[tuple[str, ...]] = Counter()
    for interface, *packet in rows:
        counts[tuple(packet)] += 1 if interface == PC else -1
    return [f"{packet}: {count:+d} at {PC}" for packet, count in counts.items() if count]


def unanswered_pings(capture: Path) -> list[int]:
    """When the branch sent those pings to which no answer came back to it, ns since 1970."""
    rows = fields(
        capture,
        f'icmp && frame.interface_name == "{PC}"',
        *("frame.time_epoch", "icmp.type", "icmp.seq"),
    )
    asked: dict[str, int] = {}
    for stamp, kind, number in rows:
        if kind == _ECHO_REQUEST:
            asked.setdefault(number, nanoseconds(stamp))
        elif kind == _ECHO_REPLY:  # and not an error, which quotes the request
            asked.pop(number, None)
    return sorted(asked.values())


def sent_again(capture: Path) -> list[str]:
    """TCP segments that were seen more than once where they were sent."""
    rows = fields(
        capture,
        "tcp.len > 0",
        *("frame.interface_name", "ip.src", "tcp.srcport", "tcp.seq", "tcp.len"),
    )
    senders = {PC: PC_ADDRESS, VM_END: VM}
    counts = Counter(tuple(row) for row in rows if senders.get(row[0]) == row[1])
    return [f"{segment}: {count} times" for segment, count in counts.items() if count > 1]


def largest_segments(capture: Path) -> set[int]:
    """The MSS options that arrived at the far ends."""
    rows = fields(
        capture,
        f'tcp.flags.syn == 1 && (frame.interface_name == "{VM_END}" && tcp.flags.ack == 0'
        f' || frame.interface_name == "{PC}" && tcp.flags.ack == 1)',
        "tcp.options.mss_val",
    )
    return {int(value) for (value,) in rows}


EXPECTED_MSS = {MSS}


def esp_outside_lives(wire: Wire, history: History) -> Iterator[str]:
    """ESP packets whose SPI is no CHILD_SA's, or that were sent before or after its life."""
    inbound = {
        (view.node, getattr(view.spis, "inbound", "")): sa
        for sa in history.of_sort("CHILD")
        for view in sa.views
    }
    for packet in wire.esp:
        receiver = "azure" if packet.sender == "rtx" else "rtx"
        sa = inbound.get((receiver, packet.spi))
        if sa is None:
            yield f"{packet}: no CHILD_SA has this SPI"
        elif not _alive(sa, packet.time_ns):
            yield f"{packet}: {sa.name} was not alive then"


def unused(wire: Wire, history: History) -> Iterator[str]:
    """CHILD_SAs that never carried anything in one direction."""
    seen = {(packet.sender, packet.spi) for packet in wire.esp}
    for sa in history.of_sort("CHILD"):
        for view in sa.views:
            if (view.node, getattr(view.spis, "outbound", "")) not in seen:
                yield f"{sa.name}: {view.node} sent nothing in it"


def rekeys_on_the_wire(wire: Wire) -> list[tuple[int, str]]:
    """When and by whom a CREATE_CHILD_SA was asked for, as seen at Azure, each once."""
    found: dict[tuple[str, str, str, int], int] = {}
    for message in wire.ike:
        if (
            message.interface == AZURE
            and message.exchange == CREATE_CHILD_SA
            and message.is_request
        ):
            key = (message.sender, message.initiator_spi, message.responder_spi, message.message_id)
            found.setdefault(key, message.time_ns)
    return sorted((time_ns, sender) for (sender, *_), time_ns in found.items())


def rekeys_told(history: History) -> list[tuple[int, str]]:
    """When and by whom SAs were made by CREATE_CHILD_SA, as the daemons tell."""
    return sorted(
        (sa.born_ns or 0, sa.born_by or "?")
        for sa in history.sas
        if sa.exchange == "CREATE_CHILD_SA"
    )


def agree(one: Iterable[tuple[int, str]], two: Iterable[tuple[int, str]]) -> bool:
    """The same things, done by the same ends, at about the same times?"""
    one, two = list(one), list(two)
    return len(one) == len(two) and all(
        by == also_by and abs(time_ns - also_ns) <= _SLACK_NS
        for (time_ns, by), (also_ns, also_by) in zip(one, two, strict=True)
    )


def ike_spis_on_the_wire(wire: Wire) -> set[tuple[str, str]]:
    """The SPI pairs of all IKE_SAs under which something was said after IKE_SA_INIT."""
    return {
        (message.initiator_spi, message.responder_spi)
        for message in wire.ike
        if set(message.responder_spi) != {"0"}
    }


def _alive(sa: Sa, time_ns: int) -> bool:
    begin = sa.born_ns or sa.seen_ns
    return begin - _SLACK_NS <= time_ns and (
        sa.gone_ns is None or time_ns <= sa.gone_ns + _SLACK_NS
    )
