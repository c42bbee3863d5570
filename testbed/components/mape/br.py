"""The border relay: the stateless end of the MAP-E tunnels (RFC 7597), as a sans-IO core.

``receive`` takes one IP packet and the present time and returns the packets to send and the events
that tell what happened.  IPv6 packets come from CEs and leave as IPv4; IPv4 packets come from the
internet and leave inside IPv6.

Hop counts.  The core stands behind a TUN device: the kernel forwards each packet into the device
and, after the core, out of it again, and takes one from the hop count each time it forwards.  On
the way down the first of these is the IPv4 TTL and the second the outer hop limit; on the way up it
is the outer hop limit and then the TTL.  So the inner TTL falls by one at the BR in either
direction, as RFC 2473 section 3.1 wants, and the core itself changes neither.

State.  None per flow.  What is kept is bounded and short-lived: the answer given for the first
fragment of a datagram (RFC 7597 section 8.3.2), outer fragments until they are whole, path MTUs.

Fragments.  Of a datagram to or from a shared address only the first fragment has the port.  Its
answer is kept for ``fragment_timeout`` seconds and later fragments follow it at once, unchanged;
fragments that come before the first wait for it that long, in bounded memory, and are then dropped
as ``fragment-timeout`` (or ``fragment-overflow`` when memory is full).
"""

from __future__ import annotations

import math

from testbed.components.mape.br_config import BorderRelayConfig
from testbed.components.mape.br_down import PLACE as FROM_INTERNET
from testbed.components.mape.br_down import TowardsCe
from testbed.components.mape.br_up import PLACE as FROM_TUNNEL
from testbed.components.mape.br_up import TowardsInternet
from testbed.components.mape.domain import MapDomain, Refusal
from testbed.components.mape.path_mtu import PathMtuCache
from testbed.components.mape.reasons import Reason
from testbed.components.mape.tunnel_errors import TunnelReport, read_tunnel_message
from testbed.components.mape.work import Work, drops_by_name
from testbed.components.napt.drops import DropLog
from testbed.components.packet import ipv6
from testbed.components.packet.encapsulation import OVERHEAD
from testbed.components.packet.errors import MalformedPacketError
from testbed.components.packet.icmp import may_answer_ipv4
from testbed.components.packet.ipv6 import IPv6Header, parse_ipv6, upper_layer
from testbed.components.packet.outcome import Outcome
from testbed.components.packet.reassembly import Reassembler
from testbed.components.packet.transport import ICMPV6, IPIP
from testbed.events import Event, Note

COMPONENT = "mape-br"


class BorderRelay:
    """The BR core; the module's text says what it does with hop counts and fragments."""

    def __init__(self, config: BorderRelayConfig) -> None:
        self.config = config
        self.domain = MapDomain(config.rules, config.iid)
        self.drops = DropLog(COMPONENT)
        self._address = config.address.packed
        self._path_mtu = PathMtuCache(config.ipv6_mtu)
        self._down = TowardsCe(config, self.domain, self._path_mtu)
        self._up = TowardsInternet(config, self.domain)
        self._reassembler = Reassembler(timeout=config.reassembly_timeout)
        self._received = 0
        self._echoed = 0

    def receive(self, packet: bytes, now: float) -> Outcome:
        """Take one IPv4 or IPv6 packet; ``now`` is in seconds of any steady clock.

        Whatever the bytes are, nothing is raised for them: what cannot be read is a drop.
        """
        self._received += 1
        work = Work(self.drops)
        version = packet[0] >> 4 if packet else 0
        try:
            if version == 4:
                self._down.receive(packet, now, work)
            elif version == 6:
                self._from_tunnel(packet, now, work)
            else:
                work.drop(Reason.MALFORMED, packet, "ingress", detail=f"IP version {version}")
        except MalformedPacketError as error:
            place = FROM_TUNNEL if version == 6 else FROM_INTERNET
            work.drop(Reason.MALFORMED, packet, place, detail=error.reason)
        return work.outcome()

    def next_timer(self) -> float | None:
        """When ``handle_timer`` next has something to do; None: nothing is waiting."""
        timers = (
            self._down.fragments.next_timer(),
            self._up.fragments.next_timer(),
            self._reassembler.next_timer(),
            self._path_mtu.next_timer(),
        )
        return min((timer for timer in timers if timer is not None), default=None)

    def handle_timer(self, now: float) -> Outcome:
        """Give up what has waited too long."""
        work = Work(self.drops)
        self._down.expire(now, work)
        self._up.expire(now, work)
        work.give_up(self._reassembler.expire(now), FROM_TUNNEL)
        self._path_mtu.expire(now)
        return work.outcome()

    def close(self) -> tuple[Event, ...]:
        """Give up all fragments that wait, as when another configuration takes over."""
        return self.handle_timer(math.inf).events

    def counters(self) -> dict[str, int]:
        """Packets by fate since the start; drops as ``drop.REASON``; ``waiting`` is right now.

        ``answered`` are ICMP errors sent and echo replies, ``unanswered`` errors that the rate
        limit kept back.
        """
        waiting = (self._down.fragments, self._up.fragments, self._reassembler)
        totals = {
            "received": self._received,
            "encapsulated": self._down.encapsulated,
            "decapsulated": self._up.decapsulated,
            "answered": self._down.answered + self._echoed,
            "unanswered": self._down.unanswered,
            "waiting": sum(memory.waiting for memory in waiting),
        }
        return totals | drops_by_name(self.drops)

    def _from_tunnel(self, packet: bytes, now: float, work: Work) -> None:
        header = parse_ipv6(packet)
        if header.destination != self._address:
            work.drop(Reason.NOT_FOR_US, packet, FROM_TUNNEL)
            return
        if header.next_header == IPIP:
            self._up.receive(packet, header, ipv6.HEADER_LENGTH, now, work)
            return
        upper = upper_layer(packet, header)
        if upper.fragment is not None:
            whole, discarded = self._reassembler.add(packet, header, upper, now)
            work.give_up(discarded, FROM_TUNNEL)
            if whole is None:
                return
            packet = whole
            header = parse_ipv6(packet)
            upper = upper_layer(packet, header)
        if upper.protocol == IPIP:
            self._up.receive(packet, header, upper.offset, now, work)
        elif upper.protocol == ICMPV6:
            self._icmpv6(packet, header, upper.offset, now, work)
        else:
            detail = f"next header {upper.protocol}"
            work.drop(Reason.UNKNOWN_TUNNEL_PROTOCOL, packet, FROM_TUNNEL, detail=detail)

    def _icmpv6(self, packet: bytes, header: IPv6Header, at: int, now: float, work: Work) -> None:
        message = read_tunnel_message(packet, header, at, self.domain)
        if isinstance(message, bytes):
            self._echoed += 1
            work.packets.append(message)
        elif isinstance(message, Refusal):
            work.refuse(message, packet, FROM_TUNNEL)
        elif message.mtu is not None:
            self._learn_path_mtu(packet, message, message.mtu, now, work)
        elif not may_answer_ipv4(message.original, message.quoted):
            work.drop(Reason.ICMPV6_UNREPORTABLE, packet, FROM_TUNNEL, detail=message.text)
        elif not self._down.answer(
            message.original, message.quoted.source, message.code, 0, now, work
        ):
            detail = f"{message.text}; the limit of ICMP errors is reached"
            work.drop(Reason.ICMPV6_UNREPORTABLE, packet, FROM_TUNNEL, detail=detail)

    def _learn_path_mtu(
        self, packet: bytes, report: TunnelReport, mtu: int, now: float, work: Work
    ) -> None:
        """A packet was too big for the path: send smaller ones, and tell a sender that set DF."""
        known = self._path_mtu
        if not self.config.path_mtu_discovery or not known.learn(report.destination, mtu, now):
            work.drop(Reason.ICMPV6_IGNORED, packet, FROM_TUNNEL, detail=report.text)
            return
        mtu = known.get(report.destination, now)
        ce = ipv6.address_text(report.destination)
        work.events.append(Note(f"path MTU to CE {ce} is {mtu}: {report.text}"))
        # Without DF nobody need be told: the next such packet leaves in fragments.
        if report.quoted.dont_fragment and may_answer_ipv4(report.original, report.quoted):
            sender = report.quoted.source
            self._down.answer(report.original, sender, report.code, mtu - OVERHEAD, now, work)
