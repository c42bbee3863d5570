"""What was on the wire, as an independent judge reads it: tshark dissects our captures."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from topologies.azure_rekey.ends import AZURE_ADDRESS

CREATE_CHILD_SA = 36
_RESPONSE = 0x20

Row: TypeAlias = Mapping[str, str]
"""A packet's fields by tshark's names, :data:`NAMES`; empty where it has none."""

NAMES = (
    *("frame.interface_name", "frame.time_epoch", "ip.src", "ip.dst", "ip.id", "ip.proto"),
    *("icmp.type", "icmp.seq", "tcp.srcport", "tcp.seq", "tcp.len", "tcp.flags.syn"),
    *("tcp.options.mss_val", "esp.spi", "esp.sequence", "isakmp.ispi", "isakmp.rspi"),
    *("isakmp.exchangetype", "isakmp.flags", "isakmp.messageid"),
)


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


def read_rows(capture: Path) -> list[Row]:
    """All IPv4 packets of a capture, with everything that the checks look at, in one reading."""
    return [dict(zip(NAMES, row, strict=True)) for row in fields(capture, "ip", *NAMES)]


def fields(capture: Path, display_filter: str, *names: str) -> list[list[str]]:
    """Fields of the packets that pass a display filter, as tshark prints them."""
    command = ["tshark", "-n", "-r", str(capture), "-Y", display_filter, "-T", "fields"]
    for name in names:
        command += ["-e", name]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    return [line.split("\t") for line in result.stdout.splitlines()]


def esp_packets(rows: Iterable[Row]) -> Iterator[EspPacket]:
    """The ESP packets among them."""
    for row in rows:
        if row["esp.spi"]:
            yield EspPacket(
                row["frame.interface_name"],
                time_ns(row),
                _sender(row),
                f"{int(row['esp.spi'], 16):08x}",
                int(row["esp.sequence"]),
            )


def ike_messages(rows: Iterable[Row]) -> Iterator[IkeMessage]:
    """The IKE messages among them."""
    for row in rows:
        if row["isakmp.ispi"]:
            yield IkeMessage(
                row["frame.interface_name"],
                time_ns(row),
                _sender(row),
                row["isakmp.ispi"],
                row["isakmp.rspi"],
                int(row["isakmp.exchangetype"]),
                not int(row["isakmp.flags"], 16) & _RESPONSE,
                int(row["isakmp.messageid"], 16),
            )


def time_ns(row: Row) -> int:
    """When the packet was seen, ns since 1970."""
    seconds, _, part = row["frame.time_epoch"].partition(".")
    return int(seconds) * 10**9 + int(f"{part:0<9}"[:9])


def _sender(row: Row) -> str:
    return "azure" if row["ip.src"] == AZURE_ADDRESS else "rtx"
