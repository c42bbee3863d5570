"""What happens to a flow: the decisions of a NAPT, without a packet in sight.

Only numbers and tables here, so that another data plane (in the kernel, say) that is to behave the
same has one page to agree with, and a test one thing to compare with a plain model.
"""

from __future__ import annotations

from typing import NamedTuple

from testbed.components.napt import tcp
from testbed.components.napt.mapping import Mapping, MappingKey, Session
from testbed.components.napt.policy import Filtering, MappingBehaviour, NaptPolicy
from testbed.components.napt.ports import Endpoint, PortPool
from testbed.components.napt.reasons import DropReason
from testbed.components.napt.table import Table
from testbed.components.packet.ipv4 import address_text
from testbed.components.packet.transport import PROTOCOL_NAMES, RST, SYN, TCP
from testbed.errors import TestbedError
from testbed.events import Event, MappingCreated, MappingExpired, PortsExhausted


class Refusal(NamedTuple):
    """Why a flow may not pass, and the mapping that was in the way, if one was.

    ``answer``: the sender is to be told by ICMP (RFC 5508 REQ-8).
    """

    reason: DropReason
    mapping: Mapping | None = None
    answer: bool = False


class Decider:
    """Mappings, sessions and filters of one NAPT.  ``events`` collects what happened meanwhile.

    A *remote* is the endpoint on the other side; for ICMP queries its port is 0.  ``flags`` are
    TCP's, 0 for other protocols.  Call ``tick`` first with the same ``now``: what is over must not
    take part in a decision.
    """

    def __init__(self, pool: PortPool, policy: NaptPolicy, component: str) -> None:
        self.pool = pool
        self.addresses = pool.addresses
        self.policy = policy
        self.table = Table(32 - policy.quota.subscriber_bits)
        self.events: list[Event] = []
        self._component = component
        self._independent = policy.mapping is MappingBehaviour.ENDPOINT_INDEPENDENT

    def outgoing(
        self,
        protocol: int,
        inside: tuple[int, int],
        remote: tuple[int, int],
        flags: int,
        now: float,
    ) -> Mapping | Refusal:
        """An inside endpoint sends to a remote: its mapping, made now if there is none."""
        if self._independent:
            mapping = self.table.by_inside.get((protocol, inside[0], inside[1]))
        else:
            mapping = self.find_inside(protocol, inside, remote)
        if mapping is None:
            made = self._new_mapping(protocol, inside, remote, flags)
            if isinstance(made, Refusal):
                return made
            mapping = made
        session = mapping.sessions.get(remote)
        if session is None:
            if protocol == TCP and not self._may_open(flags):
                return mapping  # RFC 6146: with a mapping it passes, but it opens nothing
            if self._full(mapping):
                return Refusal(DropReason.SESSION_QUOTA, mapping, answer=True)
            session = self._open(mapping, remote, flags, now, outbound=True)
        elif protocol == TCP and (flags & tcp.EVENTFUL or session.facts != tcp.OPEN):
            self._advance(session, flags, now, outbound=True)
        else:
            session.expires = now + session.idle
        return mapping

    def incoming(
        self,
        protocol: int,
        outside: tuple[int, int],
        remote: tuple[int, int],
        flags: int,
        now: float,
    ) -> Mapping | Refusal:
        """A remote sends to an outside endpoint: the mapping that takes it inside."""
        mapping = self.table.by_outside.get((protocol, outside[0], outside[1]))
        if mapping is None:
            if self.pool.owns(protocol, *outside):
                return Refusal(DropReason.NO_MAPPING)
            return Refusal(DropReason.PORT_OUTSIDE_SET)
        session = mapping.sessions.get(remote)
        if session is not None:
            if protocol == TCP:
                if flags & tcp.EVENTFUL or session.facts != tcp.OPEN:
                    self._advance(session, flags, now, outbound=False)
                else:
                    session.expires = now + session.idle
            elif self.policy.inbound_refresh:
                session.expires = now + session.idle
            return mapping
        if not self.admits(mapping, remote):
            return Refusal(DropReason.FILTERED, mapping)
        if protocol == TCP and flags & SYN:
            if self._full(mapping):
                return Refusal(DropReason.SESSION_QUOTA, mapping)
            self._open(mapping, remote, flags, now, outbound=False)
        return mapping

    def admits(self, mapping: Mapping, remote: tuple[int, int]) -> bool:
        """Whether the filter lets this remote, with whom there is no session, send in.

        A static forward admits everyone: that is what it is for.
        """
        filtering = self.policy.filtering
        return (
            mapping.static
            or filtering is Filtering.ENDPOINT_INDEPENDENT
            or (filtering is Filtering.ADDRESS_DEPENDENT and remote[0] in mapping.peers)
        )

    def find_inside(
        self, protocol: int, inside: tuple[int, int], remote: tuple[int, int]
    ) -> Mapping | None:
        """The mapping that an outbound packet would use, if there is one already."""
        table = self.table.by_inside
        static_or_independent = table.get((protocol, *inside))
        if static_or_independent is not None or self._independent:
            return static_or_independent
        return table.get(self._key(protocol, inside, remote))

    def add_static(self, protocol: int, inside: Endpoint, outside: Endpoint) -> None:
        """Set up a static forward, which is also the mapping of its inside endpoint.

        Raises:
            PortNotInPoolError: the outside endpoint is not in the pool or is in use.
            TestbedError: the inside endpoint has a mapping already.
        """
        key = (protocol, *inside)
        if key in self.table.by_inside:
            other = self.table.by_inside[key]
            raise TestbedError(
                f"{inside} is mapped already: {other}",
                hint="an inside endpoint has one outside endpoint; forward another inside port",
            )
        self.pool.reserve(protocol, outside)
        mapping = Mapping(protocol, inside, outside, key, static=True)
        self.table.add(mapping)
        self.events.append(self._created(mapping))

    def tick(self, now: float) -> None:
        """As ``expire``, at next to no cost when nothing is due."""
        heap = self.table.heap
        if heap and heap[0][0] <= now:
            self.expire(now)

    def expire(self, now: float) -> None:
        """End sessions and mappings whose time is over."""
        for mapping, last in self.table.expire(now):
            closed = last.facts and tcp.phase(last.facts) is tcp.Phase.CLOSING
            self._ended(mapping, "closed" if closed else "idle")

    def flush(self, *, static: bool = False) -> None:
        """End all mappings at once, as a reboot does; static forwards too if ``static``."""
        for mapping in list(self.table):
            if static or not mapping.static:
                self.table.remove(mapping)
                self._ended(mapping, "flushed")

    def _new_mapping(
        self, protocol: int, source: tuple[int, int], remote: tuple[int, int], flags: int
    ) -> Mapping | Refusal:
        if protocol == TCP and not self._may_open(flags):
            return Refusal(DropReason.TCP_NO_SESSION)
        inside = Endpoint(*source)
        quota = self.policy.quota
        if quota.mappings is not None:
            subscriber = (protocol, quota.subscriber(inside.address))
            if self.table.per_subscriber[subscriber] >= quota.mappings:
                return Refusal(DropReason.MAPPING_QUOTA, answer=True)
        outside = self.pool.allocate(protocol, inside)
        if outside is None:
            usage = self.pool.usage(protocol, inside.address)
            self.events.append(
                PortsExhausted(
                    component=self._component,
                    protocol=PROTOCOL_NAMES[protocol],
                    inside=address_text(inside.address),
                    inside_port=inside.port,
                    in_use=usage.in_use,
                    size=usage.size,
                )
            )
            return Refusal(DropReason.PORTS_EXHAUSTED, answer=True)
        mapping = Mapping(
            protocol, inside, outside, self._key(protocol, inside, remote), static=False
        )
        self.table.add(mapping)
        self.events.append(self._created(mapping))
        return mapping

    def _key(self, protocol: int, inside: tuple[int, int], remote: tuple[int, int]) -> MappingKey:
        behaviour = self.policy.mapping
        if behaviour is MappingBehaviour.ENDPOINT_INDEPENDENT:
            return (protocol, *inside)
        if behaviour is MappingBehaviour.ADDRESS_DEPENDENT:
            return (protocol, *inside, remote[0])
        return (protocol, *inside, *remote)

    def _may_open(self, flags: int) -> bool:
        """Whether an outbound TCP segment may make state."""
        return bool(flags & SYN) or (self.policy.tcp_midstream and not flags & RST)

    def _full(self, mapping: Mapping) -> bool:
        most = self.policy.quota.sessions
        return most is not None and len(mapping.sessions) >= most

    def _open(
        self, mapping: Mapping, remote: tuple[int, int], flags: int, now: float, *, outbound: bool
    ) -> Session:
        session = self.table.open_session(mapping, remote)
        if mapping.protocol == TCP:
            if not flags & SYN:
                session.facts = tcp.OPEN  # picked up midstream: taken to be established
            self._advance(session, flags, now, outbound=outbound)
        else:
            session.idle = self.policy.timeouts.idle(mapping.protocol, remote[1])
            session.expires = now + session.idle
            self.table.schedule(session)
        return session

    def _advance(self, session: Session, flags: int, now: float, *, outbound: bool) -> None:
        """Note a TCP segment that may change the idle time, and start it anew."""
        before = session.facts
        session.facts = facts = tcp.advance(before, flags, outbound=outbound)
        timeouts = self.policy.timeouts
        match tcp.phase(facts):
            case tcp.Phase.ESTABLISHED:
                session.idle = timeouts.idle(TCP, session.remote[1])
            case tcp.Phase.OPENING:
                session.idle = timeouts.tcp_opening
            case tcp.Phase.CLOSING:
                session.idle = timeouts.tcp_closing
                if facts == before:
                    return  # RFC 6146: nothing but a new SYN or life after an RST extends it
        session.expires = now + session.idle
        self.table.schedule(session)

    def _created(self, mapping: Mapping) -> MappingCreated:
        return MappingCreated(
            component=self._component,
            protocol=PROTOCOL_NAMES[mapping.protocol],
            inside=address_text(mapping.inside.address),
            inside_port=mapping.inside.port,
            outside=address_text(mapping.outside.address),
            outside_port=mapping.outside.port,
        )

    def _ended(self, mapping: Mapping, reason: str) -> None:
        self.pool.release(mapping.protocol, mapping.outside)
        self.events.append(
            MappingExpired(
                component=self._component,
                protocol=PROTOCOL_NAMES[mapping.protocol],
                inside=address_text(mapping.inside.address),
                inside_port=mapping.inside.port,
                outside=address_text(mapping.outside.address),
                outside_port=mapping.outside.port,
                reason=reason,
            )
        )
