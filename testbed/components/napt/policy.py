"""What an operator may choose about a NAPT: timeouts, filtering, quotas, ICMP.  All frozen data.

Port sets and the choice of ports are in :mod:`testbed.components.napt.ports`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from testbed.components.packet.icmp import ADMINISTRATIVELY_PROHIBITED
from testbed.components.packet.transport import ICMP, TCP, UDP
from testbed.errors import TestbedError


class PolicyError(TestbedError):
    """A value of the policy makes no sense."""


class MappingBehaviour(StrEnum):
    """Which new flows share a mapping (RFC 4787 sec. 4.1).

    Ports are never overloaded in any of them (RFC 4787 REQ-3): each mapping has its own.
    """

    ENDPOINT_INDEPENDENT = "endpoint-independent"
    """EIM: one mapping for an inside address and port, whoever the remote is.  REQ-1."""
    ADDRESS_DEPENDENT = "address-dependent"
    ADDRESS_AND_PORT_DEPENDENT = "address-and-port-dependent"
    """A symmetric NAT: one mapping, hence one port, for each remote endpoint."""


class Filtering(StrEnum):
    """Which remote endpoints may send through a mapping (RFC 4787 sec. 5, RFC 5382 REQ-3)."""

    ENDPOINT_INDEPENDENT = "endpoint-independent"
    """EIF: anyone."""
    ADDRESS_DEPENDENT = "address-dependent"
    """ADF: addresses the inside has sent to."""
    ADDRESS_AND_PORT_DEPENDENT = "address-and-port-dependent"
    """APDF: addresses and ports the inside has sent to."""


def _shorter_for_dns() -> Mapping[tuple[int, int], float]:
    return MappingProxyType({(UDP, 53): 30.0})


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Idle times in seconds after which a session ends; a mapping ends with its last session.

    Attributes:
        udp: RFC 4787 REQ-5: not below 120, 300 recommended.
        icmp: of ICMP queries.  RFC 5508 REQ-2: not below 60.
        tcp_established: RFC 5382 REQ-5: not below 2 h 4 min.
        tcp_opening: until SYNs went both ways.  RFC 5382 REQ-5: 240; RFC 7857 sec. 2.1 allows less.
        tcp_closing: after FINs both ways or an RST.  RFC 5382 REQ-5, RFC 7857 sec. 2.2: 240.
        fragments: how long the ports of a first fragment are remembered.  RFC 6146 sec. 3.4: not
            below 2.
        destinations: other idle times by (protocol number, remote port), for UDP and for
            established TCP.  RFC 4787 REQ-5a allows shorter ones for well-known ports; DNS is the
            one where it pays, because every query takes a port.
    """

    udp: float = 300.0
    icmp: float = 60.0
    tcp_established: float = 7440.0
    tcp_opening: float = 240.0
    tcp_closing: float = 240.0
    fragments: float = 30.0
    destinations: Mapping[tuple[int, int], float] = field(default_factory=_shorter_for_dns)

    def __post_init__(self) -> None:
        names = ("udp", "icmp", "tcp_established", "tcp_opening", "tcp_closing", "fragments")
        values = {name: getattr(self, name) for name in names}
        values |= {f"destinations{key}": value for key, value in self.destinations.items()}
        for name, value in values.items():
            if not value > 0:
                raise PolicyError(f"timeout {name} is {value}", hint="give seconds above 0")

    def idle(self, protocol: int, remote_port: int) -> float:
        """The idle time of an established session."""
        special = self.destinations.get((protocol, remote_port))
        if special is not None:
            return special
        if protocol == TCP:
            return self.tcp_established
        return self.icmp if protocol == ICMP else self.udp


@dataclass(frozen=True, slots=True)
class Quota:
    """Limits per subscriber; ``None`` is no limit.

    Attributes:
        mappings: mappings per subscriber and protocol (RFC 6888 REQ-4).
        sessions: sessions per mapping, which bounds memory (RFC 6888 REQ-5).
        subscriber_bits: how many leading bits of an inside address name a subscriber; 32 means that
            every address is one.
    """

    mappings: int | None = None
    sessions: int | None = 4096
    subscriber_bits: int = 32

    def __post_init__(self) -> None:
        for name, value in (("mappings", self.mappings), ("sessions", self.sessions)):
            if value is not None and value < 1:
                raise PolicyError(f"quota of {value} {name}", hint="give at least 1, or no limit")
        if not 0 <= self.subscriber_bits <= 32:
            raise PolicyError(
                f"subscriber of {self.subscriber_bits} bits", hint="an IPv4 address has 32 bits"
            )

    def subscriber(self, inside_address: int) -> int:
        """The subscriber an inside address belongs to."""
        return inside_address >> (32 - self.subscriber_bits)


@dataclass(frozen=True, slots=True)
class IcmpPolicy:
    """The ICMP errors the NAPT itself sends to the inside.

    Attributes:
        source: address they come from, as an integer: the router's own on that side (RFC 1812
            sec. 4.3.2.4).
        refusal_code: code of the unreachable message when no mapping can be made: 13,
            administratively prohibited (RFC 5508 REQ-8), or 1, host unreachable (RFC 6888
            REQ-11B).  ``None``: send none.
        per_second, burst: token bucket that limits them (RFC 1812 sec. 4.3.2.8).
    """

    source: int
    refusal_code: int | None = ADMINISTRATIVELY_PROHIBITED
    per_second: float = 100.0
    burst: int = 100


@dataclass(frozen=True, slots=True)
class NaptPolicy:
    """Everything the decisions of a NAPT depend on, besides its ports.

    Attributes:
        inbound_refresh: whether inbound UDP and ICMP answers keep a session alive (RFC 4787 REQ-6a
            allows it; outbound packets always do).
        tcp_midstream: whether an outbound segment without SYN may open a mapping, as Linux does by
            default ("loose").  Otherwise it is dropped.
    """

    icmp: IcmpPolicy
    timeouts: Timeouts = field(default_factory=Timeouts)
    mapping: MappingBehaviour = MappingBehaviour.ENDPOINT_INDEPENDENT
    filtering: Filtering = Filtering.ENDPOINT_INDEPENDENT
    quota: Quota = field(default_factory=Quota)
    inbound_refresh: bool = False
    tcp_midstream: bool = False
