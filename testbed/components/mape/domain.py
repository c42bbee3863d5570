"""What a BR decides, apart from any packet: which CE an address and port belong to, and who may
send as whom.

Only integers, addresses and rules here: a kernel data plane fed from the same tables has to come to
the same answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network
from typing import TypeVar

from testbed.components.mape.calc import MapParameters, calculate
from testbed.components.mape.ce_address import packed_ce_address, psid_for
from testbed.components.mape.iid import IidLayout
from testbed.components.mape.reasons import Reason
from testbed.components.mape.rules import MapRule
from testbed.components.mape.tables import RuleTable


@dataclass(frozen=True, slots=True)
class Destination:
    """The CE a packet is for: its MAP address (16 bytes) and the rule that says so."""

    address: bytes
    rule: MapRule


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a packet may not pass, the rule that decided, and what was expected instead."""

    reason: Reason
    rule: MapRule | None = None
    detail: str | None = None


_T = TypeVar("_T")


def for_later_fragment(verdict: _T | Refusal) -> _T | Refusal:
    """The verdict on the first fragment of a datagram, as it holds for the others."""
    if isinstance(verdict, Refusal):
        detail = f"the first fragment was dropped as {verdict.reason.value}"
        return Refusal(Reason.FRAGMENT_OF_DROPPED, verdict.rule, detail)
    return verdict


class MapDomain:
    """One MAP domain: its rules and the interface-identifier layout of its CEs."""

    def __init__(self, rules: RuleTable, iid: IidLayout) -> None:
        self.rules = rules
        self.iid = iid

    def destination(self, ipv4: int, port: int | None) -> Destination | Refusal:
        """The CE that owns this address and port; ``port`` None: the packet has none."""
        rule = self.rules.for_ipv4_bits(ipv4, port)
        if rule is not None:
            psid = psid_for(rule, port)
            if psid is not None:
                return Destination(packed_ce_address(rule, ipv4, psid, self.iid), rule)
        covering = self.rules.covering_ipv4_bits(ipv4)
        if covering is None:
            return Refusal(Reason.NO_RULE)
        if port is None:
            return Refusal(Reason.PROTOCOL_WITHOUT_PORTS, covering)
        return Refusal(Reason.PORT_UNASSIGNED, covering, f"port {port}")

    def source(self, outer: bytes, ipv4: int, port: int | None) -> MapRule | Refusal:
        """Check that the CE at ``outer`` may send from this address and port (RFC 7597 sec. 8.1).

        Returns the rule that allows it.
        """
        rule = self.rules.for_ipv4_bits(ipv4, port)
        if rule is not None:
            psid = psid_for(rule, port)
            if psid is not None and packed_ce_address(rule, ipv4, psid, self.iid) == outer:
                return rule
        return self._explain(outer, ipv4, port)

    def parameters_at(self, outer: bytes) -> MapParameters | None:
        """The parameters of the CE whose prefix covers this IPv6 address, by its EA bits."""
        bits = int.from_bytes(outer, "big")
        rule = self.rules.for_ipv6_bits(bits)
        if rule is None:
            return None
        below = 128 - max(rule.end_user_len, 64)
        prefix = IPv6Network((bits >> below << below, 128 - below))
        return calculate(prefix, rule, iid=self.iid)

    def _explain(self, outer: bytes, ipv4: int, port: int | None) -> Refusal:
        """Why the quick comparison failed: as RFC 7597 puts it, from the outer source inwards."""
        ce = self.parameters_at(outer)
        if ce is None:
            return Refusal(Reason.SOURCE_OUTSIDE_DOMAIN)
        rule = ce.rule
        if ipv4 >> (32 - rule.assigned_len) != int(ce.ipv4) >> (32 - rule.assigned_len):
            return Refusal(
                Reason.SOURCE_ADDRESS_MISMATCH, rule, f"this CE may send from {ce.ipv4_prefix}"
            )
        if rule.shared and port is None:
            return Refusal(Reason.PROTOCOL_WITHOUT_PORTS, rule)
        if port is not None and port not in ce.ports:
            return Refusal(
                Reason.SOURCE_PORT_MISMATCH, rule, f"port {port}, this CE owns {ce.ports}"
            )
        return Refusal(
            Reason.SOURCE_IID_MISMATCH,
            rule,
            f"expected {ce.ce_ipv6}, not {IPv6Address(outer)}",
        )
