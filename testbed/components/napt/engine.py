"""The NAPT44 engine: IPv4 packets in, IPv4 packets out, and what happened (RFC 4787, 5382, 5508).

:class:`Napt` joins parts that can be read alone: the decisions (``decide``, ``table``), the way
from packet to decision (``ways``), the packet work (``rewrite``, ``icmp_errors``) and the fragments
(``fragments``).  No sockets, no clock.

TTL.  The engine stands beside a router, which takes one from the TTL when it forwards a packet to
it and again when it forwards what comes back.  So the engine takes none.  A hairpinned packet goes
through the router twice and loses two, as it would with router and NAPT in two boxes; if it has
none left for the second time the engine itself says so, because only it knows whose packet it was.
"""

from __future__ import annotations

from testbed.components.napt.decide import Decider, Refusal
from testbed.components.napt.drops import DropLog
from testbed.components.napt.fragments import (
    REFUSED,
    FragmentAnswer,
    FragmentKey,
    FragmentPath,
    unfit,
)
from testbed.components.napt.icmp_errors import TranslatedError, error_inward, error_outward
from testbed.components.napt.identification import Identifications
from testbed.components.napt.mapping import MappingInfo
from testbed.components.napt.policy import NaptPolicy
from testbed.components.napt.ports import Endpoint, PortPool
from testbed.components.napt.reasons import DropReason
from testbed.components.napt.rewrite import rewrite_addresses, rewrite_packet
from testbed.components.napt.translation import NaptCounters, OutsidePacket, Translation
from testbed.components.napt.ways import UNUSABLE, Way, way_in, way_out
from testbed.components.packet.errors import MalformedPacketError
from testbed.components.packet.icmp import (
    ERRORS,
    TIME_EXCEEDED,
    UNREACHABLE,
    build_icmpv4_error,
    may_answer_ipv4,
)
from testbed.components.packet.ipv4 import (
    DONT_FRAGMENT,
    FRAGMENT_MASK,
    IPv4Header,
    parse_ipv4,
)
from testbed.components.packet.rate_limit import TokenBucket
from testbed.components.packet.transport import ICMP
from testbed.events import Event

OUTBOUND = "napt outbound"
INBOUND = "napt inbound"


class Napt:
    """A NAPT between an inside and an outside.

    Args:
        pool: the outside addresses and ports.
        policy: timeouts, behaviours, quotas, ICMP.
        drops: where drops are counted; shared with the component round the NAPT, if there is one.
        identifications: new IPv4 identifications for outbound datagrams that are or may become
            fragments; ``None`` keeps those of the senders.
    """

    def __init__(
        self,
        pool: PortPool,
        policy: NaptPolicy,
        *,
        drops: DropLog | None = None,
        identifications: Identifications | None = None,
    ) -> None:
        self.drops = drops if drops is not None else DropLog("napt")
        self.policy = policy
        self.counters = NaptCounters()
        self._decider = Decider(pool, policy, self.drops.component)
        self._identifications = identifications
        self._fragments = FragmentPath(policy.timeouts.fragments, self.drops)
        self._icmp_bucket = TokenBucket(policy.icmp.per_second, policy.icmp.burst)

    def outbound(self, packet: bytes, now: float) -> Translation:
        """Translate a packet from the inside; bad bytes are a drop, not an exception."""
        self.counters.outbound += 1
        self._decider.tick(now)
        try:
            header = parse_ipv4(packet)
            if len(packet) != header.total_length:
                packet = packet[: header.total_length]
            if header.flags_offset & FRAGMENT_MASK:
                return self._fragment(packet, header, now, outbound=True)
            if header.protocol == ICMP and _is_error(packet, header):
                return self._error(packet, header, now, outbound=True)
            way = way_out(self._decider, packet, header, now)
        except MalformedPacketError as error:
            return self._malformed(packet, OUTBOUND, error)
        if isinstance(way, Refusal):
            return self._refuse(packet, header, way, now, outbound=True)
        new = rewrite_packet(packet, header, way.change, self._identification(header, way))
        events = self._happened() if self._decider.events else ()
        if way.to_inside:
            self.counters.hairpinned += 1
            return Translation((), (new,), events)
        self.counters.translated_out += 1
        return Translation((OutsidePacket(new, header.destination, way.port),), (), events)

    def inbound(self, packet: bytes, now: float, header: IPv4Header | None = None) -> Translation:
        """Translate a packet from the outside; bad bytes are a drop, not an exception.

        ``header``: what ``parse_ipv4`` made of this very packet, if the caller has done that.
        """
        self.counters.inbound += 1
        self._decider.tick(now)
        try:
            if header is None:
                header = parse_ipv4(packet)
            if len(packet) != header.total_length:
                packet = packet[: header.total_length]
            if header.flags_offset & FRAGMENT_MASK:
                return self._fragment(packet, header, now, outbound=False)
            if header.protocol == ICMP and _is_error(packet, header):
                return self._error(packet, header, now, outbound=False)
            way = way_in(self._decider, packet, header, now)
        except MalformedPacketError as error:
            return self._malformed(packet, INBOUND, error)
        if isinstance(way, Refusal):
            return self._refuse(packet, header, way, now, outbound=False)
        self.counters.translated_in += 1
        return Translation(
            (),
            (rewrite_packet(packet, header, way.change),),
            self._happened() if self._decider.events else (),
        )

    def next_timer(self) -> float | None:
        """When ``handle_timer`` should be called next; ``None``: nothing is pending."""
        timers = [self._decider.table.next_timer(), self._fragments.next_timer()]
        return min((t for t in timers if t is not None), default=None)

    def handle_timer(self, now: float) -> Translation:
        """End what is over at ``now``; calling it too early or too often does no harm."""
        self._decider.expire(now)
        dropped = self._fragments.expire(now)
        return Translation(events=(*self._happened(), *dropped))

    def add_forward(self, protocol: int, outside: Endpoint, inside: Endpoint) -> tuple[Event, ...]:
        """Set up a static forward from an outside endpoint to an inside one.

        Raises:
            PortNotInPoolError: the outside endpoint is not in the pool, or somebody has it.
            TestbedError: the inside endpoint is mapped already.
        """
        self._decider.add_static(protocol, inside, outside)
        return self._happened()

    def flush(self, *, static: bool = False) -> tuple[Event, ...]:
        """Forget all mappings, the static forwards only if ``static``; returns the events."""
        self._decider.flush(static=static)
        return self._happened()

    def mappings(self, now: float) -> tuple[MappingInfo, ...]:
        """All mappings, for a status page."""
        return tuple(MappingInfo.of(mapping, now) for mapping in self._decider.table)

    @property
    def waiting_fragments(self) -> int:
        """Fragments that wait for their first."""
        return self._fragments.waiting

    def _happened(self) -> tuple[Event, ...]:
        events = tuple(self._decider.events)
        self._decider.events.clear()
        return events

    def _identification(self, header: IPv4Header, way: Way) -> int | None:
        """A new identification, if the packet is not atomic (RFC 6864 sec. 4) and goes out."""
        if self._identifications is None or way.to_inside or header.flags_offset == DONT_FRAGMENT:
            return None
        return self._identifications.next()

    # ICMP errors

    def _error(
        self, packet: bytes, header: IPv4Header, now: float, *, outbound: bool
    ) -> Translation:
        done: TranslatedError | Refusal
        if header.source >> 24 in UNUSABLE or header.destination >> 24 in UNUSABLE:
            done = Refusal(DropReason.BAD_ADDRESS)
        else:
            translate = error_outward if outbound else error_inward
            done = translate(self._decider, packet, header)
        if not isinstance(done, Refusal) and outbound and done.to_inside and header.ttl <= 1:
            done = Refusal(DropReason.TTL_EXCEEDED)
        if isinstance(done, Refusal):
            return self._refuse(packet, header, done, now, outbound=outbound)
        self._count(1, outbound=outbound, to_inside=done.to_inside)
        events = self._happened()
        if done.to_inside:
            return Translation((), (done.packet,), events)
        return Translation((OutsidePacket(done.packet, header.destination, done.port),), (), events)

    # Fragments

    def _fragment(
        self, packet: bytes, header: IPv4Header, now: float, *, outbound: bool
    ) -> Translation:
        key = FragmentKey.of(header, outbound=outbound)
        reason = unfit(header)
        if header.fragment_offset == 0:
            way: Way | Refusal
            if reason is not None:
                way = Refusal(reason)
            else:
                # An ICMP error in fragments is no query, so it is refused here by its type.
                choose = way_out if outbound else way_in
                way = choose(self._decider, packet, header, now, fragment=True)
            return self._first_fragment(packet, header, key, way, now)
        if reason is not None:
            return self._refuse(packet, header, Refusal(reason), now, outbound=outbound)
        answer = self._fragments.answer_for(key, now)
        if answer is None:
            dropped = self._fragments.wait(key, packet, now)
            return Translation(events=(*self._happened(), *dropped))
        return self._send_fragments([], [packet], key, answer)

    def _first_fragment(
        self, packet: bytes, header: IPv4Header, key: FragmentKey, way: Way | Refusal, now: float
    ) -> Translation:
        if isinstance(way, Refusal):
            answer, ready = REFUSED, []
            done = self._refuse(packet, header, way, now, outbound=key.outbound)
        else:
            change = way.change
            number = self._identification(header, way) if key.outbound else None
            answer = FragmentAnswer(
                False, change.source, change.destination, number, way.to_inside, way.port
            )
            ready = [rewrite_packet(packet, header, change, number)]
            done = Translation(events=self._happened())
        waited, dropped = self._fragments.first(key, answer, now)
        sent = self._send_fragments(ready, waited, key, answer)
        return Translation(
            sent.to_outside,
            done.to_inside + sent.to_inside,
            (*done.events, *dropped, *sent.events),
        )

    def _send_fragments(
        self, ready: list[bytes], later: list[bytes], key: FragmentKey, answer: FragmentAnswer
    ) -> Translation:
        """Send fragments that are ``ready``, then ``later`` ones as their first decided."""
        events: list[Event] = list(self._happened())
        place = OUTBOUND if key.outbound else INBOUND
        packets = list(ready)
        for packet in later:
            header = parse_ipv4(packet)
            if answer.refused:
                events.append(self.drops.drop(DropReason.FRAGMENT_OF_DROPPED, packet, place))
            elif key.outbound and answer.to_inside and header.ttl <= 1:
                events.append(self.drops.drop(DropReason.TTL_EXCEEDED, packet, place))
            else:
                packets.append(
                    rewrite_addresses(
                        packet, header, answer.source, answer.destination, answer.identification
                    )
                )
        self._count(len(packets), outbound=key.outbound, to_inside=answer.to_inside)
        if answer.to_inside:
            return Translation((), tuple(packets), tuple(events))
        outside = tuple(OutsidePacket(p, key.destination, answer.port) for p in packets)
        return Translation(outside, (), tuple(events))

    def _count(self, packets: int, *, outbound: bool, to_inside: bool) -> None:
        if not outbound:
            self.counters.translated_in += packets
        elif to_inside:
            self.counters.hairpinned += packets
        else:
            self.counters.translated_out += packets

    # Drops

    def _malformed(self, packet: bytes, place: str, error: MalformedPacketError) -> Translation:
        drop = self.drops.drop(DropReason.MALFORMED, packet, place, detail=error.reason)
        return Translation(events=(*self._happened(), drop))

    def _refuse(
        self, packet: bytes, header: IPv4Header, refusal: Refusal, now: float, *, outbound: bool
    ) -> Translation:
        rule = None if refusal.mapping is None else str(refusal.mapping)
        place = OUTBOUND if outbound else INBOUND
        drop = self.drops.drop(refusal.reason, packet, place, rule=rule)
        answer: tuple[bytes, ...] = ()
        if outbound and refusal.answer:
            kind, code = UNREACHABLE, self.policy.icmp.refusal_code
            if refusal.reason is DropReason.TTL_EXCEEDED:
                kind, code = TIME_EXCEEDED, 0
            if code is not None:
                answer = self.tell(packet, header, now, kind=kind, code=code)
        return Translation((), answer, (*self._happened(), drop))

    def tell(
        self, packet: bytes, header: IPv4Header, now: float, *, kind: int, code: int, rest: int = 0
    ) -> tuple[bytes, ...]:
        """The ICMP error for the inside sender of ``packet``; nothing where none may be sent.

        Also for the component round the NAPT, so that all errors to the inside share one limit.
        """
        if not may_answer_ipv4(packet, header) or not self._icmp_bucket.take(now):
            return ()
        self.counters.icmp_sent += 1
        error = build_icmpv4_error(
            packet,
            source=self.policy.icmp.source,
            destination=header.source,
            icmp_type=kind,
            code=code,
            rest=rest,
        )
        return (error,)


def _is_error(packet: bytes, header: IPv4Header) -> bool:
    at = header.header_length
    return at < len(packet) and packet[at] in ERRORS
