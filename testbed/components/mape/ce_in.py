"""The CE's way in: IPv4 packets out of the tunnel, checked for who sent them, then translated."""

from __future__ import annotations

from testbed.components.mape.ce_config import CustomerEdgeConfig
from testbed.components.mape.ce_out import clamped
from testbed.components.mape.domain import MapDomain, Refusal
from testbed.components.mape.handover import lost_by_kernel
from testbed.components.mape.reasons import Reason
from testbed.components.mape.selectors import source_port
from testbed.components.mape.work import Work
from testbed.components.napt.engine import Napt
from testbed.components.packet.encapsulation import propagate_ecn
from testbed.components.packet.ipv4 import IPv4Header, parse_ipv4
from testbed.components.packet.ipv6 import HEADER_LENGTH, IPv6Header
from testbed.components.packet.outcome import Outcome
from testbed.components.packet.summary import summarize

PLACE = "tunnel ingress"


class FromTunnel:
    """Decapsulates, checks and translates."""

    def __init__(self, config: CustomerEdgeConfig, napt: Napt, mesh: MapDomain | None) -> None:
        self._napt = napt
        self._mesh = mesh
        self._ipv4 = int(config.parameters.ipv4)
        self._br = config.br.packed
        self._source_check = config.source_check
        self._mss_clamp = config.mss_clamp
        self.decapsulated = 0

    def receive(
        self, packet: bytes, outer: IPv6Header, inner_at: int, now: float, work: Work
    ) -> Outcome:
        """Take one whole IPv6 packet with IPv4 at ``inner_at``.

        Raises:
            MalformedPacketError: the inner IPv4 header is broken.
        """
        inner = packet[inner_at : HEADER_LENGTH + outer.payload_length]
        header = parse_ipv4(inner)
        refusal = None if outer.source == self._br else self._check(outer.source, inner, header)
        if refusal is not None:
            work.refuse(refusal, packet, PLACE, about=str(summarize(inner)))
            return work.outcome()
        if header.destination != self._ipv4:
            detail = f"{summarize(inner)}; another inner destination (RFC 7597 section 8.1)"
            work.drop(Reason.NOT_FOR_US, packet, PLACE, detail=detail)
            return work.outcome()
        lost = lost_by_kernel(inner, header)
        if lost is not None:
            work.refuse(lost, packet, PLACE, about=str(summarize(inner)))
            return work.outcome()
        marked = propagate_ecn(outer, header, inner)
        if marked is None:
            work.drop(Reason.CONGESTION_LOST, packet, PLACE, detail=str(summarize(inner)))
            return work.outcome()
        known = header if marked is inner else None
        _, to_inside, events = self._napt.inbound(marked, now, known)
        self.decapsulated += len(to_inside)
        if self._mss_clamp:
            to_inside = tuple(clamped(one, self._mss_clamp) for one in to_inside)
        if not work.events:  # the usual case, without the making of lists
            return Outcome(to_inside, events)
        work.packets += to_inside
        work.events += events
        return work.outcome()

    def _check(self, outer: bytes, inner: bytes, header: IPv4Header) -> Refusal | None:
        """Whether a sender that is not the BR may send this (RFC 7597 section 8.1)."""
        if not self._source_check:
            return None
        if self._mesh is None:
            detail = "not the BR, and this CE takes part in no mesh"
            return Refusal(Reason.SOURCE_OUTSIDE_DOMAIN, detail=detail)
        if header.fragment_offset:
            return self._check_later_fragment(outer, header.source)
        port = source_port(inner, header)
        if isinstance(port, Reason):
            verdict = self._mesh.source(outer, header.source, None)
            # Somebody else's address is the graver fault and is named first.
            if isinstance(verdict, Refusal) and verdict.reason is Reason.PROTOCOL_WITHOUT_PORTS:
                return Refusal(port, verdict.rule)
        else:
            verdict = self._mesh.source(outer, header.source, port)
        return verdict if isinstance(verdict, Refusal) else None

    def _check_later_fragment(self, outer: bytes, ipv4: int) -> Refusal | None:
        """A fragment without ports: the address must be the CE's, the first one showed the port."""
        assert self._mesh is not None, "only asked in a mesh"
        ce = self._mesh.parameters_at(outer)
        if ce is None:
            return Refusal(Reason.SOURCE_OUTSIDE_DOMAIN)
        if ce.ce_ipv6.packed != outer:
            return Refusal(Reason.SOURCE_IID_MISMATCH, ce.rule, f"expected {ce.ce_ipv6}")
        held = 32 - ce.rule.assigned_len
        if ipv4 >> held != int(ce.ipv4) >> held:
            detail = f"this CE may send from {ce.ipv4_prefix}"
            return Refusal(Reason.SOURCE_ADDRESS_MISMATCH, ce.rule, detail)
        return None
