"""The customer edge: NAPT within a port set and the home's end of the tunnel (RFC 7597), sans-IO.

``receive`` takes one IP packet and the present time and returns the packets to send and the events
that tell what happened.  IPv4 packets come from the home and leave inside IPv6, translated; IPv6
packets come from the BR (or, by FMR, from other CEs) and leave as IPv4 for the home.

Hop counts.  The core stands behind a TUN device: the kernel forwards each packet into the device
and, after the core, out of it again, and takes one from the hop count each time it forwards.  On
the way out the first of these is the IPv4 TTL and the second the outer hop limit; on the way in it
is the outer hop limit and then the TTL.  So the inner TTL falls by one at the CE in either
direction, as RFC 2473 section 3.1 wants, and the core itself changes neither.  A packet that is
hairpinned inside the home passes the kernel twice and loses two; when it has none left for the
second time the core answers with time exceeded itself, about the packet as its sender knows it.

Packets do not go round.  What comes from the tunnel only ever goes inside, but when nobody has the
inside address the kernel's default route leads it back into the device.  It then has the source of
somebody outside, which is in none of ``lan_prefixes``, and is dropped as ``inside-source-foreign``
before it can take a port; so is every forged source of the home (RFC 2827).  If the sender outside
forged a source of ``lan_prefixes``, it leaves once, for an inside address, and the BR, which has no
rule for that, ends it.

What is decided here and what is not: the port set, the checks on tunnel sources and the choice
between BR and other CEs are MAP-E (``ce_in``, ``ce_out``, ``domain``); mappings, filters, timers,
ICMP translation and inner fragments are any NAPT's (:mod:`testbed.components.napt`).
"""

from __future__ import annotations

from testbed.components.mape.ce_config import CustomerEdgeConfig, PortAllocation
from testbed.components.mape.ce_in import PLACE as FROM_TUNNEL
from testbed.components.mape.ce_in import FromTunnel
from testbed.components.mape.ce_out import TowardsTunnel
from testbed.components.mape.domain import MapDomain, Refusal
from testbed.components.mape.path_mtu import PathMtuCache
from testbed.components.mape.reasons import Reason
from testbed.components.mape.tables import RuleTable
from testbed.components.mape.tunnel_errors import (
    TunnelReport,
    not_to_ce,
    read_tunnel_message_of,
)
from testbed.components.mape.work import Work, drops_by_name
from testbed.components.napt.drops import DropLog
from testbed.components.napt.engine import Napt
from testbed.components.napt.identification import PortSetIdentifications
from testbed.components.napt.mapping import MappingInfo
from testbed.components.napt.policy import IcmpPolicy, NaptPolicy
from testbed.components.napt.ports import (
    Endpoint,
    KeepSourcePort,
    PortStrategy,
    Randomized,
    RangePortPool,
    Sequential,
)
from testbed.components.packet import ipv6
from testbed.components.packet.encapsulation import OVERHEAD
from testbed.components.packet.errors import MalformedPacketError
from testbed.components.packet.icmp import UNREACHABLE, build_icmpv4_error, may_answer_ipv4
from testbed.components.packet.ipv4 import IPv4Header
from testbed.components.packet.ipv6 import IPv6Header, parse_ipv6, upper_layer
from testbed.components.packet.outcome import Outcome
from testbed.components.packet.reassembly import Reassembler
from testbed.components.packet.transport import ICMPV6, IPIP
from testbed.events import Event, Note

COMPONENT = "mape-ce"


class CustomerEdge:
    """The CE core; the module's text says what it does with hop counts.

    Raises:
        PortNotInPoolError: a static forward's port is not in the port set, or is used twice.
    """

    def __init__(self, config: CustomerEdgeConfig) -> None:
        self.config = config
        self.drops = DropLog(COMPONENT)
        self.napt = _napt(config, self.drops)
        self._mesh = _mesh(config)
        self._address = config.parameters.ce_ipv6.packed
        self._br = config.br.packed
        self._ipv4 = int(config.parameters.ipv4)
        self._path_mtu = PathMtuCache(config.ipv6_mtu)
        self._out = TowardsTunnel(config, self.napt, self._mesh, self._path_mtu)
        self._in = FromTunnel(config, self.napt, self._mesh)
        self._reassembler = Reassembler(timeout=config.reassembly_timeout)
        self._received = 0
        self._merged = 0
        self._icmpv6_taken = 0
        outside = int(config.parameters.ipv4)
        events: list[Event] = []
        for forward in config.forwards:
            events += self.napt.add_forward(
                forward.protocol,
                Endpoint(outside, forward.port),
                Endpoint(int(forward.to), forward.to_port),
            )
        self.startup = tuple(events)
        """What setting up brought about: a mapping for each static forward."""

    def receive(self, packet: bytes, now: float) -> Outcome:
        """Take one IPv4 or IPv6 packet; ``now`` is in seconds of any steady clock.

        Whatever the bytes are, nothing is raised for them: what cannot be read is a drop.
        """
        self._received += 1
        version = packet[0] >> 4 if packet else 0
        if version == 4:
            return self._out.receive(packet, now, self.drops)
        work = Work(self.drops)
        if version == 6:
            try:
                return self._from_tunnel(packet, now, work)
            except MalformedPacketError as error:
                work.drop(Reason.MALFORMED, packet, FROM_TUNNEL, detail=error.reason)
        else:
            work.drop(Reason.MALFORMED, packet, "ingress", detail=f"IP version {version}")
        return work.outcome()

    def next_timer(self) -> float | None:
        """When ``handle_timer`` next has something to do; None: nothing is waiting."""
        timers = (
            self.napt.next_timer(),
            self._reassembler.next_timer(),
            self._path_mtu.next_timer(),
        )
        return min((timer for timer in timers if timer is not None), default=None)

    def handle_timer(self, now: float) -> Outcome:
        """End mappings, and give up what has waited too long."""
        work = Work(self.drops)
        work.events += self.napt.handle_timer(now).events
        work.give_up(self._reassembler.expire(now), FROM_TUNNEL)
        self._path_mtu.expire(now)
        return work.outcome()

    def counters(self) -> dict[str, int]:
        """Packets by fate since the start; drops as ``drop.REASON``; ``waiting`` is right now.

        ``received`` = ``encapsulated`` + ``decapsulated`` + ``hairpinned`` + ``icmpv6`` (messages
        taken in: answered, learnt from or passed on to a host) + ``merged`` (outer fragments that
        went into another packet) + drops + ``waiting``.  ``answered`` are ICMP errors of our own.
        """
        totals = {
            "received": self._received,
            "encapsulated": self._out.encapsulated,
            "decapsulated": self._in.decapsulated,
            "hairpinned": self.napt.counters.hairpinned,
            "icmpv6": self._icmpv6_taken,
            "merged": self._merged,
            "answered": self.napt.counters.icmp_sent,
            "waiting": self.napt.waiting_fragments + self._reassembler.waiting,
        }
        return totals | drops_by_name(self.drops)

    def mappings(self, now: float) -> tuple[MappingInfo, ...]:
        """The NAPT's mappings, for a status page."""
        return self.napt.mappings(now)

    def close(self) -> tuple[Event, ...]:
        """End everything, as when another configuration takes this one's place."""
        return self.napt.flush(static=True)

    def _from_tunnel(self, packet: bytes, now: float, work: Work) -> Outcome:
        header = parse_ipv6(packet)
        if header.destination != self._address:
            work.drop(Reason.NOT_FOR_US, packet, FROM_TUNNEL)
            return work.outcome()
        if header.next_header == IPIP:
            return self._in.receive(packet, header, ipv6.HEADER_LENGTH, now, work)
        upper = upper_layer(packet, header)
        if upper.fragment is not None:
            before = self._reassembler.waiting + 1
            whole, discarded = self._reassembler.add(packet, header, upper, now)
            work.give_up(discarded, FROM_TUNNEL)
            if whole is None:
                return work.outcome()
            self._merged += before - self._reassembler.waiting - len(discarded) - 1
            packet = whole
            header = parse_ipv6(packet)
            upper = upper_layer(packet, header)
        if upper.fragment is not None:
            raise MalformedPacketError("IPv6 fragment inside a fragment")
        if upper.protocol == IPIP:
            return self._in.receive(packet, header, upper.offset, now, work)
        if upper.protocol == ICMPV6:
            self._icmpv6(packet, header, upper.offset, now, work)
        else:
            detail = f"next header {upper.protocol}"
            work.drop(Reason.UNKNOWN_TUNNEL_PROTOCOL, packet, FROM_TUNNEL, detail=detail)
        return work.outcome()

    # ICMPv6 about the tunnel (RFC 2473 section 8)

    def _icmpv6(self, packet: bytes, header: IPv6Header, at: int, now: float, work: Work) -> None:
        message = read_tunnel_message_of(packet, header, at, self._unrelated)
        if isinstance(message, bytes):
            self._icmpv6_taken += 1
            work.packets.append(message)
        elif isinstance(message, Refusal):
            work.refuse(message, packet, FROM_TUNNEL)
        elif message.mtu is not None:
            self._learn_path_mtu(packet, message, message.mtu, now, work)
        else:
            self._pass_on(packet, message, 0, now, work)

    def _unrelated(self, destination: bytes, inner: IPv4Header) -> Refusal | None:
        """Why a packet with this inner header cannot be one that we sent there."""
        if inner.source != self._ipv4:
            return Refusal(Reason.ICMPV6_UNRELATED, detail="it quotes another IPv4 source")
        if destination == self._br:
            return None
        if self._mesh is None:
            return Refusal(Reason.ICMPV6_UNRELATED, detail="it quotes a packet to no tunnel end")
        return not_to_ce(self._mesh, destination, inner)

    def _learn_path_mtu(
        self, packet: bytes, report: TunnelReport, mtu: int, now: float, work: Work
    ) -> None:
        known = self._path_mtu
        if not self.config.path_mtu_discovery or not known.learn(report.destination, mtu, now):
            work.drop(Reason.ICMPV6_IGNORED, packet, FROM_TUNNEL, detail=report.text)
            return
        mtu = known.get(report.destination, now)
        end = ipv6.address_text(report.destination)
        work.events.append(Note(f"path MTU to {end} is {mtu}: {report.text}"))
        if report.quoted.dont_fragment:
            self._pass_on(packet, report, mtu - OVERHEAD, now, work)
        else:
            self._icmpv6_taken += 1  # nobody need be told: the next packet leaves in fragments

    def _pass_on(
        self, packet: bytes, report: TunnelReport, rest: int, now: float, work: Work
    ) -> None:
        """Tell the host whose packet it was: as an ICMP error of our own, through the NAPT."""
        if not may_answer_ipv4(report.original, report.quoted):
            work.drop(Reason.ICMPV6_UNREPORTABLE, packet, FROM_TUNNEL, detail=report.text)
            return
        error = build_icmpv4_error(
            report.original,
            source=int(self.config.lan_address),
            destination=self._ipv4,
            icmp_type=UNREACHABLE,
            code=report.code,
            rest=rest,
        )
        _, to_inside, events = self.napt.inbound(error, now)
        work.packets += to_inside
        work.events += events
        self._icmpv6_taken += len(to_inside)


def _mesh(config: CustomerEdgeConfig) -> MapDomain | None:
    """The domain as far as this CE reaches it directly: the FMRs."""
    rules = [rule for rule in config.rules if rule.forwarding]
    if not config.mesh or not rules:
        return None
    return MapDomain(RuleTable(rules), config.parameters.iid)


def _napt(config: CustomerEdgeConfig, drops: DropLog) -> Napt:
    strategy: PortStrategy = Sequential()
    if config.port_allocation is PortAllocation.RANDOM:
        strategy = Randomized(config.seed)
    elif config.port_allocation is PortAllocation.KEEP_SOURCE_PORT:
        strategy = KeepSourcePort(strategy)
    ports = config.parameters.ports.ranges()
    shared = config.parameters.rule.shared
    identifications = (
        PortSetIdentifications(ports) if config.rewrite_identification and shared else None
    )
    policy = NaptPolicy(
        icmp=IcmpPolicy(source=int(config.lan_address), refusal_code=config.refusal_code),
        timeouts=config.timeouts,
        mapping=config.mapping,
        filtering=config.filtering,
        quota=config.quota,
        inbound_refresh=config.inbound_refresh,
        tcp_midstream=config.tcp_midstream,
    )
    pool = RangePortPool(int(config.parameters.ipv4), ports, strategy)
    return Napt(pool, policy, drops=drops, identifications=identifications)
