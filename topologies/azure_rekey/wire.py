"""What was on the wire, as an independent judge reads it: tshark dissects our captures."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from topologies.azure_rekey.ends import AZURE_ADDRESS

CREATE_CHILD_SA, INFORMATIONAL = 36, 37
_RESPONSE = 0x20


@dataclass(frozen=True, slots=True)
class IkeMessage:
    """An IKE message's header (RFC 7296 section 3.1), with where, when and from whom it was."""

    interface: str
    time_ns: int
    sender: str
    initiator_spi: str
    responder_spi: str
    exchange: int
    is_request: bool
    message_id: int


@dataclass(frozen=True, slots=True)
class EspPacket:
    """An ESP packet in UDP (RFC 3948): its SPI and sequence number."""

    interface: str
    time_ns: int
    sender: str
    spi: str
    sequence: int


@dataclass(frozen=True, slots=True)
class Wire:
    """All of IKE and ESP in a capture."""

    ike: tuple[IkeMessage, ...]
    esp: tuple[EspPacket, ...]


def read_wire(capture: Path) -> Wire:
    """The tunnel's packets in a capture."""
    rows = fields(
        capture,
        "isakmp || esp",
        *("frame.interface_name", "frame.time_epoch", "ip.src"),
        *("esp.spi", "esp.sequence"),
        *("isakmp.ispi", "isakmp.rspi", "isakmp.exchangetype", "isakmp.flags", "isakmp.messageid"),
    )
    ike, esp = [], []
    for interface, stamp, source, spi, sequence, ispi, rspi, exchange, flags, number in rows:
        when = nanoseconds(stamp)
        sender = "azure" if source == AZURE_ADDRESS else "rtx"
        if spi:
            esp.append(EspPacket(interface, when, sender, f"{int(spi, 16):08x}", int(sequence)))
        else:
            request = not int(flags, 16) & _RESPONSE
            ike.append(
                IkeMessage(
                    interface, when, sender, ispi, rspi, int(exchange), request, int(number, 16)
                )
            )
    return Wire(tuple(ike), tuple(esp))


def fields(capture: Path, display_filter: str, *names: str) -> list[list[str]]:
    """Fields of the packets that pass a display filter, as tshark prints them."""
    command = ["tshark", "-n", "-r", str(capture), "-Y", display_filter, "-T", "fields"]
    for name in names:
        command += ["-e", name]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    return [line.split("\t") for line in result.stdout.splitlines()]


def unmatched(packets: Iterable[EspPacket], one: str, other: str) -> Counter[tuple[str, str, int]]:
    """Packets that were seen at one of two interfaces more often than at the other."""
    counts: Counter[tuple[str, str, int]] = Counter()
    for packet in packets:
        key = (packet.sender, packet.spi, packet.sequence)
        counts[key] += {one: 1, other: -1}.get(packet.interface, 0)
    return Counter({key: count for key, count in counts.items() if count})


def nanoseconds(stamp: str) -> int:
    """tshark's ``frame.time_epoch`` as a whole number."""
    seconds, _, part = stamp.partition(".")
    return int(seconds) * 10**9 + int(f"{part:0<9}"[:9])
