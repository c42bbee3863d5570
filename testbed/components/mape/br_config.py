"""Configuration of a BR: a dataclass, and the JSON file it is read from."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from testbed.components.mape.config_file import ConfigReader
from testbed.components.mape.iid import IidLayout
from testbed.components.mape.path_mtu import MINIMUM_IPV6_MTU
from testbed.components.mape.tables import RuleTable


@dataclass(frozen=True, slots=True)
class BorderRelayConfig:
    """What a BR has to know.

    Attributes:
        address: the BR's tunnel address; CEs send to it and packets to them come from it.
        ipv4_address: source of the ICMP errors the BR sends; an address of the BR's own.
        rules: the rules of the domain.
        iid: interface-identifier layout of the domain's CEs.
        ipv6_mtu: MTU of the IPv6 network in bytes; the tunnel MTU is 40 less (RFC 2473 sec. 7).
        source_check: refuse packets whose IPv4 source and port are not those of the CE that sent
            them (RFC 7597 section 8.1 demands it; a switch, because some networks do without).
        outer_fragments: what to do with a packet over the tunnel MTU that may be fragmented:
            False cuts the IPv4 packet before encapsulation, so that the destination reassembles;
            True cuts the IPv6 packet (RFC 2473 section 7.2 (b)), so that the CE reassembles.
        path_mtu_discovery: believe packet-too-big messages (RFC 7597 section 8.3.1 advises against
            it for a BR with an anycast address).
        hop_limit: of the packets sent to CEs.
        fragment_timeout: seconds a first fragment's port is remembered, or a later one waits.
        most_fragments: fragmented datagrams remembered at once, in each direction.
        reassembly_timeout: seconds for the outer IPv6 fragments of a packet (RFC 8200 sec. 4.5).
        icmp_per_second, icmp_burst: ICMP errors the BR sends in the long run, and at once (RFC
            1812 section 4.3.2.8); echo replies do not count.
    """

    address: IPv6Address
    ipv4_address: IPv4Address
    rules: RuleTable
    iid: IidLayout
    ipv6_mtu: int = 1500
    source_check: bool = True
    outer_fragments: bool = False
    path_mtu_discovery: bool = True
    hop_limit: int = 64
    fragment_timeout: float = 15.0
    most_fragments: int = 1024
    reassembly_timeout: float = 60.0
    icmp_per_second: int = 100
    icmp_burst: int = 100


def load_br_config(path: Path) -> BorderRelayConfig:
    """Read a BR's configuration from a JSON file.

    Keys are the attributes of :class:`BorderRelayConfig`.  ``rules`` is the name of a shipped table
    or a list of rules, each an object or a string as ``testbed mape calc --rule`` takes it; ``iid``
    defaults to the table's own layout, or ``rfc7597`` for a list.

    Raises:
        ConfigError: the file cannot be read, a key is unknown or missing, or a value is wrong.
    """
    reader = ConfigReader.open(path)
    address = reader.ipv6("address")
    rules, iid = reader.rules("rules")
    config = BorderRelayConfig(
        address=address,
        ipv4_address=reader.ipv4("ipv4_address"),
        rules=rules,
        iid=reader.layout("iid", iid),
        ipv6_mtu=reader.integer("ipv6_mtu", 1500, MINIMUM_IPV6_MTU, 65535),
        source_check=reader.boolean("source_check", True),
        outer_fragments=reader.boolean("outer_fragments", False),
        path_mtu_discovery=reader.boolean("path_mtu_discovery", True),
        hop_limit=reader.integer("hop_limit", 64, 1, 255),
        fragment_timeout=reader.seconds("fragment_timeout", 15.0),
        most_fragments=reader.integer("most_fragments", 1024, 1, 1 << 20),
        reassembly_timeout=reader.seconds("reassembly_timeout", 60.0),
        icmp_per_second=reader.integer("icmp_per_second", 100, 1, 1 << 20),
        icmp_burst=reader.integer("icmp_burst", 100, 1, 1 << 20),
    )
    reader.finish()
    return config
