"""What was on the wire, as an independent judge reads it: tshark dissects our captures."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from testbed.errors import TestbedError
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
    """Fields of the packets that pass a display filter, as tshark prints them.

    Raises:
        TestbedError: tshark fails; its own words are in the error.
    """
    command = ["tshark", "-n", "-r", str(capture), "-Y", display_filter, "-T", "fields"]
    for name in names:
        command += ["-e", name]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        # It begins by warning of being root.
        lines = [line for line in result.stderr.splitlines() if line.startswith("tshark: ")]
        raise TestbedError(
            "; ".join(lines) or f"tshark fails with status {result.returncode}",
            where=str(capture),
            hint=f"the display filter was {display_filter!r}",
        )
    return [line.split("\t") for line in result.stdout.splitlines()]


def esp_packets(rows: Iterable[Row]) -> Iterator[EspPacket]:
    """The ESP packets among them; an ICMP error that quotes one is none.

    Raises:
        TestbedError: a packet has a header that cannot be read.
    """
    for row in rows:
        if row["esp.spi"] and not row["icmp.type"]:
            yield EspPacket(
                row["frame.interface_name"],
                time_ns(row),
                _sender(row),
                f"{_number(row, 'esp.spi', 16):08x}",
                _number(row, "esp.sequence"),
            )


def ike_messages(rows: Iterable[Row]) -> Iterator[IkeMessage]:
    """The IKE messages among them; an ICMP error that quotes one is none.

    Raises:
        TestbedError: a packet has a header that cannot be read.
    """
    for row in rows:
        if row["isakmp.ispi"] and not row["icmp.type"]:
            yield IkeMessage(
                row["frame.interface_name"],
                time_ns(row),
                _sender(row),
                row["isakmp.ispi"],
                row["isakmp.rspi"],
                _number(row, "isakmp.exchangetype"),
                not _number(row, "isakmp.flags", 16) & _RESPONSE,
                _number(row, "isakmp.messageid", 16),
            )


def time_ns(row: Row) -> int:
    """When the packet was seen, ns since 1970."""
    seconds, _, part = row["frame.time_epoch"].partition(".")
    return int(seconds) * 10**9 + int(f"{part:0<9}"[:9])


def _number(row: Row, name: str, base: int = 10) -> int:
    try:
        return int(row[name], base)
    except ValueError:
        raise TestbedError(
            f"not one number: {name} is {row[name]!r}",
            where=f"packet of {row['frame.time_epoch']} at {row['frame.interface_name']}",
        ) from None


def _sender(row: Row) -> str:
    return "azure" if row["ip.src"] == AZURE_ADDRESS else "rtx"
