"""From an IPv4 address and port to the one CE that owns them: the BR's side of RFC 7597 section 5.

A BR (or a CE in mesh mode) looks at the destination of a packet and builds the MAP address of the
CE behind it.  Nothing here shares code with :mod:`testbed.components.mape.calc`: the address is put
together field by field as octets, so that comparing both directions means something.
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address

from testbed.components.mape.errors import UnmappedError
from testbed.components.mape.iid import IidLayout
from testbed.components.mape.ports import psid_of
from testbed.components.mape.rules import MapRule

_RFC7597 = struct.Struct("!HIH")
_DRAFT03 = struct.Struct("!BIHB")


def packed_ce_address(rule: MapRule, ipv4: int, psid: int, iid: IidLayout) -> bytes:
    """The 16 octets of the MAP address of the CE with this address and PSID.

    The caller has made sure that ``ipv4`` lies in the rule and that ``psid`` is one of its PSIDs.
    """
    held = 32 - rule.assigned_len
    ipv4 = ipv4 >> held << held
    prefix = rule.ipv6_bits
    position = 128 - rule.ipv6_len - rule.suffix_len
    prefix |= ((ipv4 - rule.ipv4_bits) >> held) << position
    if rule.psid is None:
        prefix |= psid << (position - rule.k)
    head = prefix.to_bytes(16, "big")
    if iid is IidLayout.DRAFT03:
        tail = _DRAFT03.pack(0, ipv4, psid, 0)
    else:
        tail = _RFC7597.pack(0, ipv4, psid)
    if rule.end_user_len <= 64:
        return head[:8] + tail
    # RFC 7597 section 6: a prefix longer than 64 bits overwrites the start of the identifier.
    covered = (1 << (128 - rule.end_user_len)) - 1
    return (prefix | (int.from_bytes(tail, "big") & covered)).to_bytes(16, "big")


def psid_for(rule: MapRule, port: int | None) -> int | None:
    """The PSID in ``rule`` that owns ``port``; 0 where nothing is shared; None when nobody does.

    ``port`` None stands for a packet without ports: only an unshared address can take it.
    """
    if rule.k == 0:
        return 0
    if port is None:
        return None
    psid = psid_of(port, rule.psid_offset, rule.k)
    if rule.psid is not None and psid != rule.psid:
        return None
    return psid


def ce_address_for(
    rule: MapRule,
    ipv4: IPv4Address,
    port: int | None,
    iid: IidLayout = IidLayout.RFC7597,
) -> IPv6Address:
    """The MAP address of the CE that owns ``ipv4`` and ``port``.

    Raises:
        UnmappedError: the address lies outside the rule, or no CE of the rule owns the port.
    """
    if ipv4 not in rule.ipv4_prefix:
        raise UnmappedError(
            f"{ipv4} is not inside {rule.ipv4_prefix}", hint="choose the rule that covers it"
        )
    psid = psid_for(rule, port)
    if psid is None:
        if port is None:
            raise UnmappedError(
                f"{ipv4} is shared: a CE cannot be found without a port",
                hint="give the port (or ICMP identifier)",
            )
        raise UnmappedError(
            f"no CE under rule {rule} owns port {port}",
            hint="ports below the PSID offset, or of another explicit PSID, belong to nobody",
        )
    return IPv6Address(packed_ce_address(rule, int(ipv4), psid, iid))
