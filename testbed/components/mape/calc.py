"""From a delegated prefix to everything a CE needs (RFC 7597 section 5.2), by shifts and masks.

The opposite direction, from an IPv4 address and port to the CE's address, is what a BR needs; it is
written on its own in :mod:`testbed.components.mape.ce_address`, so that each can judge the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from testbed.components.mape.ce_address import ce_address_for
from testbed.components.mape.errors import PrefixError
from testbed.components.mape.iid import IidLayout, interface_identifier
from testbed.components.mape.ports import PortSet
from testbed.components.mape.rules import MapRule

__all__ = ["MapParameters", "calculate", "ce_address_for", "parse_prefix"]


@dataclass(frozen=True, slots=True)
class MapParameters:
    """What one CE is given: its IPv4 address (or prefix), its ports, its MAP address, its BR.

    ``ipv4`` is the address, or the first address where the CE holds a prefix (``ipv4_prefix`` is
    shorter than /32 then).  ``psid_len`` 0 means that the address is not shared.
    """

    rule: MapRule
    delegated: IPv6Network
    ipv4: IPv4Address
    psid: int
    ports: PortSet
    ce_ipv6: IPv6Address
    iid: IidLayout

    @property
    def psid_offset(self) -> int:
        """``a``: how many leading bits of a port stand before the PSID."""
        return self.rule.psid_offset

    @property
    def psid_len(self) -> int:
        """``k``: length of the PSID in bits; 0 when the address is not shared."""
        return self.rule.k

    @property
    def br(self) -> IPv6Address | None:
        """The BR's address, if the rule names one."""
        return self.rule.br

    @property
    def ipv4_prefix(self) -> IPv4Network:
        """What the CE holds in IPv4 as a prefix; /32 for one address."""
        return IPv4Network((self.ipv4, self.rule.assigned_len))

    @property
    def end_user_prefix(self) -> IPv6Network:
        """Rule prefix and EA bits: the part of the delegated prefix that the rule reads."""
        length = self.rule.end_user_len
        bits = int(self.delegated.network_address) >> (128 - length) << (128 - length)
        return IPv6Network((bits, length))


def parse_prefix(text: str) -> IPv6Network:
    """Read a delegated prefix such as ``240b:10:1:4700::/56``.

    Raises:
        PrefixError: it is not an IPv6 prefix, or has bits set behind its length.
    """
    if "/" not in text:
        try:
            address = IPv6Address(text)
        except ValueError:
            what, example = f"{text!r} is not an IPv6 prefix", "240b:10:1:4700::/56"
        else:
            what, example = f"{text!r} has no prefix length", f"{address}/56"
        raise PrefixError(
            what,
            hint=f"write the prefix that was delegated as ADDRESS/LENGTH, for example {example}",
        )
    try:
        return IPv6Network(text)
    except ValueError as error:
        try:
            loose = IPv6Network(text, strict=False)
        except ValueError:
            raise PrefixError(
                f"{text!r} is not an IPv6 prefix: {error}",
                hint="write it as ADDRESS/LENGTH, for example 240b:10:1:4700::/56",
            ) from None
        raise PrefixError(
            f"{text!r} has bits set behind its prefix length", hint=f"did you mean {loose}?"
        ) from None


def calculate(
    delegated: IPv6Network,
    rule: MapRule,
    *,
    iid: IidLayout = IidLayout.RFC7597,
    keep_subnet: bool = False,
) -> MapParameters:
    """The parameters of the CE that was delegated this prefix under this rule (its BMR).

    A delegated prefix longer than rule prefix + EA bits has subnet bits behind them.  RFC 7597
    section 5.2 puts the MAP address into the first subnet (zeros); ``keep_subnet`` leaves the bits
    as they were delegated, as some deployed CEs do.

    Raises:
        PrefixError: the prefix lies outside the rule or is too short for it.
    """
    bits = int(delegated.network_address)
    length = delegated.prefixlen
    end_user_len = rule.end_user_len
    if length < end_user_len:
        raise PrefixError(
            f"{delegated} is too short for rule {rule}",
            hint=f"the rule needs a delegated prefix of at least /{end_user_len}",
        )
    if (bits ^ rule.ipv6_bits) >> (128 - rule.ipv6_len):
        raise PrefixError(
            f"{delegated} is not inside {rule.ipv6_prefix}",
            hint="choose the rule that covers the delegated prefix",
        )
    ea_bits = (bits >> (128 - end_user_len)) & ((1 << rule.ea_len) - 1)
    if rule.psid is not None:
        suffix, psid = ea_bits, rule.psid
    else:
        suffix, psid = ea_bits >> rule.k, ea_bits & ((1 << rule.k) - 1)
    ipv4 = rule.ipv4_bits | (suffix << (32 - rule.assigned_len))
    return MapParameters(
        rule=rule,
        delegated=delegated,
        ipv4=IPv4Address(ipv4),
        psid=psid,
        ports=PortSet(psid, rule.psid_offset, rule.k),
        ce_ipv6=IPv6Address(
            _map_address(
                bits,
                length if keep_subnet else end_user_len,
                interface_identifier(iid, ipv4, psid),
            )
        ),
        iid=iid,
    )


def _map_address(bits: int, kept: int, iid: int) -> int:
    """The first ``kept`` bits of the prefix, zeros up to bit 64, then the interface identifier.

    A prefix longer than 64 bits overwrites the start of the identifier (RFC 7597 section 6).
    """
    below = 128 - kept
    return (bits >> below << below) | (iid & ((1 << below) - 1))
