"""The CE's way out: translated packets into the tunnel, to the BR or straight to another CE."""

from __future__ import annotations

from itertools import count

from testbed.components.mape.ce_config import CustomerEdgeConfig
from testbed.components.mape.domain import Destination, MapDomain
from testbed.components.mape.path_mtu import PathMtuCache
from testbed.components.mape.reasons import Reason
from testbed.components.mape.work import Work
from testbed.components.napt.drops import DropLog
from testbed.components.napt.engine import Napt
from testbed.components.napt.translation import OutsidePacket
from testbed.components.packet.encapsulation import OVERHEAD, encapsulate
from testbed.components.packet.errors import MalformedPacketError
from testbed.components.packet.fragments import fragment_ipv4, fragment_ipv6
from testbed.components.packet.icmp import FRAGMENTATION_NEEDED, UNREACHABLE
from testbed.components.packet.ipv4 import (
    MINIMUM_HEADER,
    OFFSET_MASK,
    SOURCE_AT,
    address_text,
    parse_ipv4,
)
from testbed.components.packet.outcome import Outcome
from testbed.components.packet.transport import SYN, TCP, clamp_mss

PLACE = "tunnel egress"
INSIDE = "inside ingress"


class TowardsTunnel:
    """Refuses foreign sources, translates and encapsulates."""

    def __init__(
        self,
        config: CustomerEdgeConfig,
        napt: Napt,
        mesh: MapDomain | None,
        path_mtu: PathMtuCache,
    ) -> None:
        self._napt = napt
        self._mesh = mesh
        self._path_mtu = path_mtu
        self._home = tuple(
            (int(prefix.netmask), int(prefix.network_address)) for prefix in config.lan_prefixes
        )
        self._shared = int(config.parameters.ipv4)
        self._address = config.parameters.ce_ipv6.packed
        self._br = config.br.packed
        self._hop_limit = config.hop_limit
        self._mss_clamp = config.mss_clamp
        self._outer_fragments = config.outer_fragments
        self._outer_identification = count(1)
        self.encapsulated = 0

    def receive(self, packet: bytes, now: float, drops: DropLog) -> Outcome:
        """Take one IPv4 packet from the inside."""
        if not self._of_the_home(packet):
            work = Work(drops)
            source = address_text(_source(packet))
            work.drop(Reason.INSIDE_SOURCE_FOREIGN, packet, INSIDE, detail=f"source {source}")
            return work.outcome()
        to_outside, to_inside, events = self._napt.outbound(packet, now)
        if len(to_outside) == 1 and not to_inside:
            # The usual case, without the making of lists.
            (sent,) = to_outside
            end = self.tunnel_end(sent.destination, sent.port)
            new = sent.packet
            if self._mss_clamp:
                new = clamped(new, self._mss_clamp)
            if len(new) + OVERHEAD <= self._path_mtu.get(end, now):
                self.encapsulated += 1
                return Outcome((encapsulate(new, self._address, end, self._hop_limit),), events)
        work = Work(drops)
        work.packets += to_inside
        work.events += events
        for number, sent in enumerate(to_outside):
            # After the packet itself come fragments that had waited for it; what they looked like
            # inside is not known any more, nor may an ICMP error be sent about them.
            self._send(sent, packet if number == 0 else None, now, work)
        return work.outcome()

    def _of_the_home(self, packet: bytes) -> bool:
        """Whether the source is one of lan_prefixes and not the address outside.

        A header that is cut off passes: that it is malformed is for the NAPT to say.
        """
        if len(packet) < MINIMUM_HEADER:
            return True
        source = _source(packet)
        if source == self._shared:
            return False
        for mask, network in self._home:  # noqa: SIM110 - any() costs more, for every packet
            if source & mask == network:
                return True
        return False

    def tunnel_end(self, destination: int, port: int) -> bytes:
        """Where a packet to this address and port goes: a CE by FMR, else the BR.

        An address inside a rule whose port belongs to nobody is the BR's to refuse.
        """
        if self._mesh is None or self._mesh.rules.covering_ipv4_bits(destination) is None:
            return self._br
        found = self._mesh.destination(destination, port)
        return found.address if isinstance(found, Destination) else self._br

    def _send(self, sent: OutsidePacket, original: bytes | None, now: float, work: Work) -> None:
        """Encapsulate within the tunnel MTU (RFC 2473 section 7.2)."""
        end = self.tunnel_end(sent.destination, sent.port)
        packet = clamped(sent.packet, self._mss_clamp) if self._mss_clamp else sent.packet
        mtu = self._path_mtu.get(end, now) - OVERHEAD
        if len(packet) <= mtu:
            self.encapsulated += 1
            work.packets.append(encapsulate(packet, self._address, end, self._hop_limit))
            return
        header = parse_ipv4(packet)
        if header.dont_fragment:
            detail = f"{len(packet)} bytes, tunnel MTU {mtu}"
            work.drop(Reason.TOO_BIG, original or packet, PLACE, detail=detail)
            if original is not None:
                work.packets += self._napt.tell(
                    original,
                    parse_ipv4(original),
                    now,
                    kind=UNREACHABLE,
                    code=FRAGMENTATION_NEEDED,
                    rest=mtu,
                )
            return
        try:
            pieces = self._pieces(packet, end, mtu)
        except MalformedPacketError as error:
            work.drop(Reason.MALFORMED, original or packet, PLACE, detail=error.reason)
            return
        self.encapsulated += 1
        work.packets += pieces

    def _pieces(self, packet: bytes, end: bytes, mtu: int) -> list[bytes]:
        if self._outer_fragments:
            number = next(self._outer_identification) & 0xFFFFFFFF
            whole = encapsulate(packet, self._address, end, self._hop_limit)
            return fragment_ipv6(whole, mtu + OVERHEAD, number)
        return [
            encapsulate(piece, self._address, end, self._hop_limit)
            for piece in fragment_ipv4(packet, mtu)
        ]


def _source(packet: bytes) -> int:
    return int.from_bytes(packet[SOURCE_AT : SOURCE_AT + 4], "big")


def clamped(packet: bytes, limit: int) -> bytes:
    """A translated packet with its MSS option lowered to ``limit``, if it is a TCP SYN with one."""
    if packet[9] != TCP or packet[6] << 8 & OFFSET_MASK or packet[7]:
        return packet
    at = (packet[0] & 0x0F) * 4
    if not packet[at + 13] & SYN:
        return packet
    changed = bytearray(packet)
    return bytes(changed) if clamp_mss(changed, at, len(changed), limit) else packet
