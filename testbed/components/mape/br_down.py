"""The BR's way down: IPv4 packets from the internet to the CE that owns their destination."""

from __future__ import annotations

from itertools import count

from testbed.components.mape.br_config import BorderRelayConfig
from testbed.components.mape.domain import Destination, MapDomain, Refusal, for_later_fragment
from testbed.components.mape.path_mtu import PathMtuCache
from testbed.components.mape.reasons import Reason
from testbed.components.mape.selectors import destination_port
from testbed.components.mape.work import Work
from testbed.components.packet.encapsulation import OVERHEAD, encapsulate
from testbed.components.packet.errors import MalformedPacketError
from testbed.components.packet.fragment_tracker import FragmentTracker
from testbed.components.packet.fragments import fragment_ipv4, fragment_ipv6
from testbed.components.packet.icmp import (
    FRAGMENTATION_NEEDED,
    UNREACHABLE,
    build_icmpv4_error,
    may_answer_ipv4,
)
from testbed.components.packet.ipv4 import IPv4Header, is_unicast_source, parse_ipv4, trim_ipv4
from testbed.components.packet.rate_limit import TokenBucket

PLACE = "internet ingress"


class TowardsCe:
    """Finds the CE and encapsulates; keeps only the answers for datagrams in fragments."""

    def __init__(
        self, config: BorderRelayConfig, domain: MapDomain, path_mtu: PathMtuCache
    ) -> None:
        self._config = config
        self._domain = domain
        self._path_mtu = path_mtu
        self._address = config.address.packed
        self._ipv4_address = int(config.ipv4_address)
        self._outer_identification = count(1)
        self.fragments: FragmentTracker[Destination | Refusal] = FragmentTracker(
            timeout=config.fragment_timeout, most_datagrams=config.most_fragments
        )
        self._errors = TokenBucket(config.icmp_per_second, config.icmp_burst)
        self.encapsulated = 0
        self.answered = 0
        self.unanswered = 0

    def receive(self, packet: bytes, now: float, work: Work) -> None:
        """Take one IPv4 packet.

        Raises:
            MalformedPacketError: its IPv4 header is broken.
        """
        header = parse_ipv4(packet)
        packet = trim_ipv4(packet, header)
        rule = self._domain.rules.covering_ipv4_bits(header.destination)
        if rule is None:
            work.drop(Reason.NO_RULE, packet, PLACE)
        elif not is_unicast_source(header.source):
            work.drop(Reason.INVALID_SOURCE, packet, PLACE, rule=rule)
        elif not rule.shared:
            verdict = self._domain.destination(header.destination, None)
            self._send(packet, header, verdict, now, work)
        elif not header.is_fragment:
            self._send(packet, header, self._destination(packet, header), now, work)
        else:
            self._fragment(packet, header, now, work)

    def expire(self, now: float, work: Work) -> None:
        """Give up fragments that waited too long for their first."""
        work.give_up(self.fragments.expire(now), PLACE)

    def answer(self, packet: bytes, to: int, code: int, rest: int, now: float, work: Work) -> bool:
        """Send an ICMP destination unreachable about ``packet`` from the BR's own address.

        False: not sent, the rate limit is reached (RFC 1812 section 4.3.2.8).
        """
        if not self._errors.take(now):
            self.unanswered += 1
            return False
        self.answered += 1
        work.packets.append(
            build_icmpv4_error(
                packet,
                source=self._ipv4_address,
                destination=to,
                icmp_type=UNREACHABLE,
                code=code,
                rest=rest,
            )
        )
        return True

    def _destination(self, packet: bytes, header: IPv4Header) -> Destination | Refusal:
        """The CE for a whole packet or first fragment to a shared address."""
        try:
            port = destination_port(packet, header)
        except MalformedPacketError as error:
            return Refusal(Reason.MALFORMED, detail=error.reason)
        if isinstance(port, Reason):
            return Refusal(port, self._domain.rules.covering_ipv4_bits(header.destination))
        return self._domain.destination(header.destination, port)

    def _fragment(self, packet: bytes, header: IPv4Header, now: float, work: Work) -> None:
        key = (header.source, header.destination, header.protocol, header.identification)
        if header.fragment_offset:
            known = self.fragments.lookup(key, now)
            if known is None:
                work.give_up(self.fragments.hold(key, packet, now), PLACE)
            else:
                self._send(packet, header, for_later_fragment(known), now, work)
            return
        verdict = self._destination(packet, header)
        waited, discarded = self.fragments.learn(key, verdict, now)
        work.give_up(discarded, PLACE)
        self._send(packet, header, verdict, now, work)
        for later in waited:
            self._send(later, parse_ipv4(later), for_later_fragment(verdict), now, work)

    def _send(
        self,
        packet: bytes,
        header: IPv4Header,
        verdict: Destination | Refusal,
        now: float,
        work: Work,
    ) -> None:
        """Encapsulate, within the tunnel MTU (RFC 2473 section 7.2)."""
        if isinstance(verdict, Refusal):
            work.refuse(verdict, packet, PLACE)
            return
        mtu = self._path_mtu.get(verdict.address, now) - OVERHEAD
        if len(packet) <= mtu:
            self.encapsulated += 1
            work.packets.append(self._encapsulate(packet, verdict))
        elif header.dont_fragment:
            detail = f"{len(packet)} bytes, tunnel MTU {mtu}"
            work.drop(Reason.TOO_BIG, packet, PLACE, rule=verdict.rule, detail=detail)
            if may_answer_ipv4(packet, header):
                self.answer(packet, header.source, FRAGMENTATION_NEEDED, mtu, now, work)
        else:
            self._send_in_pieces(packet, verdict, mtu, work)

    def _send_in_pieces(self, packet: bytes, to: Destination, mtu: int, work: Work) -> None:
        try:
            if self._config.outer_fragments:
                number = next(self._outer_identification) & 0xFFFFFFFF
                sent = fragment_ipv6(self._encapsulate(packet, to), mtu + OVERHEAD, number)
            else:
                sent = [self._encapsulate(piece, to) for piece in fragment_ipv4(packet, mtu)]
        except MalformedPacketError as error:
            work.drop(Reason.MALFORMED, packet, PLACE, rule=to.rule, detail=error.reason)
            return
        self.encapsulated += 1
        work.packets += sent

    def _encapsulate(self, packet: bytes, to: Destination) -> bytes:
        return encapsulate(packet, self._address, to.address, self._config.hop_limit)
