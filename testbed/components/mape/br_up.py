"""The BR's way up: IPv4 packets out of the tunnel, checked for who may send them."""

from __future__ import annotations

from typing import NamedTuple

from testbed.components.mape.br_config import BorderRelayConfig
from testbed.components.mape.domain import MapDomain, Refusal, for_later_fragment
from testbed.components.mape.handover import lost_by_kernel
from testbed.components.mape.reasons import Reason
from testbed.components.mape.rules import MapRule
from testbed.components.mape.selectors import source_port
from testbed.components.mape.work import Work
from testbed.components.packet.encapsulation import propagate_ecn
from testbed.components.packet.errors import MalformedPacketError
from testbed.components.packet.fragment_tracker import FragmentTracker
from testbed.components.packet.ipv4 import IPv4Header, is_unicast_source, parse_ipv4, trim_ipv4
from testbed.components.packet.ipv6 import HEADER_LENGTH, IPv6Header, parse_ipv6, upper_layer
from testbed.components.packet.summary import summarize

PLACE = "tunnel ingress"


class _Tunnelled(NamedTuple):
    """A packet out of the tunnel: as it came, and what is inside."""

    packet: bytes
    outer: IPv6Header
    inner: bytes
    header: IPv4Header


def _open(packet: bytes, outer: IPv6Header, inner_at: int) -> _Tunnelled:
    inner = packet[inner_at : HEADER_LENGTH + outer.payload_length]
    header = parse_ipv4(inner)
    return _Tunnelled(packet, outer, trim_ipv4(inner, header), header)


class TowardsInternet:
    """Checks and decapsulates; keeps only the answers for datagrams in fragments."""

    def __init__(self, config: BorderRelayConfig, domain: MapDomain) -> None:
        self._source_check = config.source_check
        self._domain = domain
        self.fragments: FragmentTracker[MapRule | Refusal] = FragmentTracker(
            timeout=config.fragment_timeout, most_datagrams=config.most_fragments
        )
        self.decapsulated = 0

    def receive(
        self, packet: bytes, outer: IPv6Header, inner_at: int, now: float, work: Work
    ) -> None:
        """Take one whole IPv6 packet with IPv4 at ``inner_at``.

        Raises:
            MalformedPacketError: the inner IPv4 header is broken.
        """
        got = _open(packet, outer, inner_at)
        header = got.header
        if not self._source_check:
            if is_unicast_source(header.source):
                self._send(got, work)
            else:
                about = str(summarize(got.inner))
                work.drop(Reason.INVALID_SOURCE, packet, PLACE, detail=about)
            return
        rule = self._domain.rules.covering_ipv4_bits(header.source)
        if rule is None or not rule.shared:
            self._pass(got, self._domain.source(outer.source, header.source, None), work)
        elif not header.is_fragment:
            self._pass(got, self._source(got), work)
        else:
            self._fragment(got, now, work)

    def expire(self, now: float, work: Work) -> None:
        """Give up fragments that waited too long for their first."""
        work.give_up(self.fragments.expire(now), PLACE)

    def _source(self, got: _Tunnelled) -> MapRule | Refusal:
        """Judge a whole packet or first fragment from a shared address."""
        outer, ipv4 = got.outer.source, got.header.source
        try:
            port = source_port(got.inner, got.header)
        except MalformedPacketError as error:
            return Refusal(Reason.MALFORMED, detail=error.reason)
        if not isinstance(port, Reason):
            return self._domain.source(outer, ipv4, port)
        # Somebody else's address is the graver fault and is named first.
        verdict = self._domain.source(outer, ipv4, None)
        if isinstance(verdict, Refusal) and verdict.reason is Reason.PROTOCOL_WITHOUT_PORTS:
            return Refusal(port, verdict.rule)
        return verdict

    def _fragment(self, got: _Tunnelled, now: float, work: Work) -> None:
        outer, header = got.outer, got.header
        # CEs that share an address may use the same identification: the outer source keeps them
        # apart here (at the destination nothing does: RFC 7597 section 8.3.3).
        datagram = (header.source, header.destination, header.protocol, header.identification)
        key = (outer.source, *datagram)
        if header.fragment_offset:
            known = self.fragments.lookup(key, now)
            if known is None:
                work.give_up(self.fragments.hold(key, got.packet, now), PLACE)
            else:
                self._pass(got, for_later_fragment(known), work)
            return
        verdict = self._source(got)
        waited, discarded = self.fragments.learn(key, verdict, now)
        work.give_up(discarded, PLACE)
        self._pass(got, verdict, work)
        for packet in waited:
            later_outer = parse_ipv6(packet)
            later = _open(packet, later_outer, upper_layer(packet, later_outer).offset)
            self._pass(later, for_later_fragment(verdict), work)

    def _pass(self, got: _Tunnelled, verdict: MapRule | Refusal, work: Work) -> None:
        if isinstance(verdict, Refusal):
            work.refuse(verdict, got.packet, PLACE, about=str(summarize(got.inner)))
        else:
            self._send(got, work)

    def _send(self, got: _Tunnelled, work: Work) -> None:
        lost = lost_by_kernel(got.inner, got.header)
        if lost is not None:
            work.refuse(lost, got.packet, PLACE, about=str(summarize(got.inner)))
            return
        marked = propagate_ecn(got.outer, got.header, got.inner)
        if marked is None:
            about = str(summarize(got.inner))
            work.drop(Reason.CONGESTION_LOST, got.packet, PLACE, detail=about)
            return
        self.decapsulated += 1
        work.packets.append(marked)
