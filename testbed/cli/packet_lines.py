"""A captured packet as a line of text: when, where, what, and what components say about it."""

from __future__ import annotations

import struct
import time
from ipaddress import IPv4Address

from testbed.cli.output import bad, faint, good
from testbed.components.packet.summary import summarize
from testbed.evidence.frame_layers import ip_packets
from testbed.evidence.pcapng import LINKTYPE_ETHERNET
from testbed.evidence.pcapng_reader import Packet

_ARP = 0x0806
_ETHERTYPES = {0x88CC: "LLDP", 0x8863: "PPPoE discovery", 0x8864: "PPPoE session", 0x8100: "VLAN"}
_ARP_REQUEST, _ARP_REPLY = 1, 2


def packet_line(packet: Packet) -> str:
    """One line about a packet; comments follow in red."""
    arrow = {None: " ", True: good(">"), False: faint("<")}[packet.outgoing]
    line = f"{clock(packet.time_ns)} {place(packet)} {arrow} {describe(packet)}"
    return " ".join([line, *(bad(f"[{comment}]") for comment in packet.comments)])


def clock(time_ns: int | None) -> str:
    """Local time of day to the microsecond."""
    if time_ns is None:
        return "--:--:--.------"
    seconds, rest = divmod(time_ns, 1_000_000_000)
    return f"{time.strftime('%H:%M:%S', time.localtime(seconds))}.{rest // 1000:06d}"


def place(packet: Packet) -> str:
    """The interface as users name it, ``node:interface``."""
    return packet.interface.name.replace("/", ":", 1)


def describe(packet: Packet) -> str:
    """What the packet is; a packet inside another follows it after a bar."""
    layers = ip_packets(packet.data, packet.interface.link_type)
    if layers:
        return " | ".join(str(summarize(layer)) for layer in layers)
    if packet.interface.link_type != LINKTYPE_ETHERNET or len(packet.data) < 14:
        return f"{packet.length} bytes that are no IP packet"
    (kind,) = struct.unpack_from("!H", packet.data, 12)
    if kind == _ARP and len(packet.data) >= 42:
        return _arp(packet.data[14:])
    return f"{_ETHERTYPES.get(kind, f'ethertype 0x{kind:04x}')} ({packet.length} bytes)"


def _arp(body: bytes) -> str:
    """RFC 826, for IPv4 over Ethernet."""
    (operation,) = struct.unpack_from("!H", body, 6)
    sender, target = IPv4Address(body[14:18]), IPv4Address(body[24:28])
    if operation == _ARP_REQUEST:
        return f"ARP who has {target}? asks {sender}"
    if operation == _ARP_REPLY:
        return f"ARP {sender} is at {body[8:14].hex(':')}"
    return f"ARP operation {operation}"
