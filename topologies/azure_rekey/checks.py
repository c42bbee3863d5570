"""What must hold for the tunnel whatever the lifetimes, judged from events and wire.  Pure.

Each function returns what is wrong, in words; nothing if all is well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from testbed.events import EspSpis, IkeSpis
from testbed.evidence.sa import History, Sa
from topologies.azure_rekey.topology import MSS, PC, VM
from topologies.azure_rekey.traffic import Stream
from topologies.azure_rekey.wire import CREATE_CHILD_SA, EspPacket, IkeMessage, Row, time_ns

RTX_WAN, AZURE_WAN = "rtx/wan", "azure/wan"
PC_END, VM_END = "pc/eth0", "vm/eth0"
_SLACK_NS = 2 * 10**9
_ECHO_REQUEST, _ECHO_REPLY = "8", "0"


def interrupted(stream: Stream, hours: float) -> Iterator[str]:
    """Whether a stream did not go on for so many hours, or questions were not answered."""
    if stream.trouble is not None:
        yield f"{stream.name}: {stream.trouble}"
    if stream.sent != len(stream.answered):
        yield f"{stream.name}: {len(stream.answered)} of {stream.sent} were answered"
    least = int(hours * 3600) // (stream.every_s + 2)  # ping takes its time: 61.3 s and not 60
    if stream.sent < least:
        yield f"{stream.name}: {stream.sent} were sent in {hours:g} hours, not {least}"


def lost_on_the_way(esp: Iterable[EspPacket]) -> list[str]:
    """ESP packets that were at one end of the tunnel and not, or not as often, at the other."""
    counts: Counter[tuple[str, str, int]] = Counter()
    for packet in esp:
        key = (packet.sender, packet.spi, packet.sequence)
        counts[key] += {RTX_WAN: 1, AZURE_WAN: -1}.get(packet.interface, 0)
    return [
        f"ESP {spi} number {sequence} of {sender}: {count:+d} at {RTX_WAN}"
        for (sender, spi, sequence), count in sorted(counts.items())
        if count
    ]


def lost_inside(rows: Iterable[Row]) -> list[str]:
    """Packets between branch and VNet that were at one end and not at the other."""
    counts: Counter[tuple[str, ...]] = Counter()
    for row in rows:
        names = ("ip.src", "ip.id", "ip.proto", "icmp.type", "icmp.seq", "tcp.seq", "tcp.len")
        sign = {PC_END: 1, VM_END: -1}.get(row["frame.interface_name"], 0)
        counts[tuple(row[name] for name in names)] += sign
    return [f"{packet}: {count:+d} at {PC_END}" for packet, count in counts.items() if count]


def unanswered_pings(rows: Iterable[Row]) -> list[int]:
    """When the branch sent those pings to which no answer came back to it, ns since 1970."""
    asked: dict[str, int] = {}
    for row in rows:
        if row["frame.interface_name"] != PC_END:
            continue
        if row["icmp.type"] == _ECHO_REQUEST:
            asked.setdefault(row["icmp.seq"], time_ns(row))
        elif row["icmp.type"] == _ECHO_REPLY:  # and not an error, which quotes the request
            asked.pop(row["icmp.seq"], None)
    return sorted(asked.values())


def sent_again(rows: Iterable[Row]) -> list[str]:
    """TCP segments with data that were seen more than once where they were sent."""
    senders = {PC_END: PC, VM_END: VM}
    counts = Counter(
        (row["ip.src"], row["tcp.srcport"], row["tcp.seq"])
        for row in rows
        if row["tcp.len"] not in ("", "0")
        and senders.get(row["frame.interface_name"]) == row["ip.src"]
    )
    return [
        f"TCP segment {segment}: {count} times" for segment, count in counts.items() if count > 1
    ]


def unclamped(rows: Iterable[Row]) -> list[str]:
    """SYNs that arrived with another MSS than the RTX is to set; or that there were none."""
    receivers = {VM_END: VM, PC_END: PC}
    found = [
        row["tcp.options.mss_val"]
        for row in rows
        if row["tcp.options.mss_val"]
        and receivers.get(row["frame.interface_name"]) == row["ip.dst"]
    ]
    wrong = [f"a SYN with MSS {value}" for value in found if value != str(MSS)]
    return wrong if found else ["no SYN was seen"]


def esp_outside_lives(esp: Iterable[EspPacket], history: History) -> Iterator[str]:
    """ESP packets whose SPI is no CHILD_SA's, or that were sent before or after its life."""
    inbound = {
        (view.node, view.spis.inbound): sa
        for sa in history.of_sort("CHILD")
        for view in sa.views
        if isinstance(view.spis, EspSpis)
    }
    for packet in esp:
        sa = inbound.get(("azure" if packet.sender == "rtx" else "rtx", packet.spi))
        if sa is None:
            yield f"{packet}: no CHILD_SA has this SPI"
        elif not _alive(sa, packet.time_ns):
            yield f"{packet}: {sa.name} was not alive then"


def told_and_seen(ike: Iterable[IkeMessage], history: History) -> list[str]:
    """Rekeys of which the daemons told otherwise than the wire shows: how many, when, by whom."""
    seen: dict[tuple[str, str, str, int], int] = {}
    for message in ike:
        if message.interface == AZURE_WAN and message.is_request:
            name = (message.sender, message.initiator_spi, message.responder_spi)
            if message.exchange == CREATE_CHILD_SA:  # the first of it: requests are sent again
                seen.setdefault((*name, message.message_id), message.time_ns)
    on_the_wire = sorted((when, sender) for (sender, *_), when in seen.items())
    told = sorted(
        (sa.born_ns or 0, sa.born_by or "?")
        for sa in history.sas
        if sa.exchange == "CREATE_CHILD_SA"
    )
    if len(told) == len(on_the_wire) and all(
        by == sender and abs(when - then) <= _SLACK_NS
        for (when, by), (then, sender) in zip(told, on_the_wire, strict=True)
    ):
        return []
    return [f"told: {told}", f"on the wire: {on_the_wire}"]


def unknown_ike_spis(ike: Iterable[IkeMessage], history: History) -> list[str]:
    """SPI pairs of IKE_SAs that are only on the wire, or of which it was only told."""
    seen = {
        f"{message.initiator_spi}_i {message.responder_spi}_r"
        for message in ike
        if set(message.responder_spi) != {"0"}  # the first message of all has none
    }
    told = {str(sa.spis) for sa in history.of_sort("IKE") if isinstance(sa.spis, IkeSpis)}
    return [f"{spis}: only {where}" for spis, where in _apart(seen, told)]


def _apart(seen: set[str], told: set[str]) -> Sequence[tuple[str, str]]:
    return [
        *((spis, "on the wire") for spis in sorted(seen - told)),
        *((spis, "told") for spis in sorted(told - seen)),
    ]


def _alive(sa: Sa, when: int) -> bool:
    begin = sa.born_ns or sa.seen_ns
    return begin - _SLACK_NS <= when and (sa.gone_ns is None or when <= sa.gone_ns + _SLACK_NS)
