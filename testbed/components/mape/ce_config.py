"""Configuration of a CE: a dataclass, and the JSON file it is read from."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from testbed.components.mape.calc import MapParameters, calculate
from testbed.components.mape.config_file import ConfigReader
from testbed.components.mape.errors import ConfigError
from testbed.components.mape.path_mtu import MINIMUM_IPV6_MTU
from testbed.components.mape.tables import RuleTable
from testbed.components.napt.policy import Filtering, MappingBehaviour, Quota, Timeouts
from testbed.components.packet.transport import ICMP, TCP, UDP
from testbed.errors import TestbedError

PRIVATE_PREFIXES = (
    IPv4Network("10.0.0.0/8"),
    IPv4Network("172.16.0.0/12"),
    IPv4Network("192.168.0.0/16"),
    IPv4Network("100.64.0.0/10"),
    IPv4Network("192.0.0.0/29"),
)
"""What a home may number itself with: RFC 1918, RFC 6598, and the B4 range of RFC 7335."""


class PortAllocation(StrEnum):
    """How a new mapping gets its port (see :mod:`testbed.components.napt.ports`)."""

    SEQUENTIAL = "sequential"
    RANDOM = "random"
    KEEP_SOURCE_PORT = "keep-source-port"
    """The host's own port if it is in the set and free, else the next one."""


@dataclass(frozen=True, slots=True)
class Forward:
    """A static forward: what comes to our ``port`` goes to ``to`` port ``to_port`` inside."""

    protocol: int
    port: int
    to: IPv4Address
    to_port: int


@dataclass(frozen=True, slots=True)
class CustomerEdgeConfig:
    """What a CE has to know.

    Attributes:
        parameters: address, port set and MAP address, from the delegated prefix and its rule.
        br: the border relay's IPv6 address.
        lan_address: the CE's own IPv4 address inside, source of the ICMP errors it sends there.
        rules: the rules of the domain.
        lan_prefixes: the addresses of the home.  What comes from the inside with another source
            is dropped (BCP 38): it would take ports of the home, and its answers have no way back.
        mesh: reach other CEs directly by the rules that are forwarding mapping rules (FMR), and
            accept packets from them.  Otherwise everything passes the BR.
        ipv6_mtu: MTU of the IPv6 network in bytes; the tunnel MTU is 40 less (RFC 2473 sec. 7).
        mss_clamp: largest TCP MSS to let through in either direction, 0 for no clamping.
        hop_limit: of the packets sent into the tunnel.
        outer_fragments: what to do with a packet over the tunnel MTU that may be fragmented:
            False cuts the IPv4 packet before encapsulation; True cuts the IPv6 packet (RFC 2473
            section 7.2 (b)).
        path_mtu_discovery: believe packet-too-big messages from inside the tunnel.
        source_check: refuse packets of other CEs whose IPv4 source and port are not theirs (RFC
            7597 section 8.1).
        rewrite_identification: take the IPv4 identification of what is or may become fragments
            from the port set (RFC 7597 section 8.3.3).
        port_allocation, seed: how ports are chosen; the seed makes ``random`` repeatable.
        mapping, filtering, timeouts, quota, refusal_code, inbound_refresh, tcp_midstream: as in
            :mod:`testbed.components.napt.policy`.
        forwards: static forwards.
        reassembly_timeout: seconds for the outer IPv6 fragments of a packet (RFC 8200 sec. 4.5).

    Raises:
        ConfigError: the parts do not go together.
    """

    parameters: MapParameters
    br: IPv6Address
    lan_address: IPv4Address
    rules: RuleTable
    lan_prefixes: tuple[IPv4Network, ...] = PRIVATE_PREFIXES
    mesh: bool = True
    ipv6_mtu: int = 1500
    mss_clamp: int = 0
    hop_limit: int = 64
    outer_fragments: bool = False
    path_mtu_discovery: bool = True
    source_check: bool = True
    rewrite_identification: bool = True
    port_allocation: PortAllocation = PortAllocation.SEQUENTIAL
    seed: int = 0
    mapping: MappingBehaviour = MappingBehaviour.ENDPOINT_INDEPENDENT
    filtering: Filtering = Filtering.ENDPOINT_INDEPENDENT
    timeouts: Timeouts = field(default_factory=Timeouts)
    quota: Quota = field(default_factory=Quota)
    refusal_code: int | None = 13
    inbound_refresh: bool = False
    tcp_midstream: bool = False
    forwards: tuple[Forward, ...] = ()
    reassembly_timeout: float = 60.0

    def __post_init__(self) -> None:
        if self.parameters.rule.assigned_len < 32:
            raise ConfigError(
                f"the rule assigns the prefix {self.parameters.ipv4_prefix}, not an address",
                hint="this CE translates to one IPv4 address; use a rule with more EA bits",
            )
        # Else the CE would drop its own ICMP errors, or what a forward's host answers.
        inside = [("lan_address", self.lan_address)]
        inside += [("forwards", forward.to) for forward in self.forwards]
        for key, address in inside:
            if not any(address in prefix for prefix in self.lan_prefixes):
                listed = ", ".join(str(prefix) for prefix in self.lan_prefixes)
                raise ConfigError(
                    f"{key}: {address} is in none of lan_prefixes ({listed})",
                    hint="add its prefix to lan_prefixes, or correct the address",
                )

    @property
    def tunnel_mtu(self) -> int:
        """The largest IPv4 packet that fits into the tunnel, in bytes."""
        return self.ipv6_mtu - 40


_PROTOCOLS = {"tcp": TCP, "udp": UDP, "icmp": ICMP}

_Choice = TypeVar("_Choice", bound=StrEnum)


def load_ce_config(path: Path) -> CustomerEdgeConfig:
    """Read a CE's configuration from a JSON file.

    Keys are the attributes of :class:`CustomerEdgeConfig`, except that ``delegated_prefix`` (with
    ``iid`` and ``keep_subnet``) stands for ``parameters``, ``mss_clamp`` is ``"off"``, ``"auto"``
    or a number, and ``refusal_code`` is 13, 1 or 0 for none.  ``rules`` is the name of a shipped
    table or a list of rules.  ``br`` may be left out if the rule names one.  ``timeouts`` is an
    object with the times of :class:`~testbed.components.napt.policy.Timeouts` in seconds, its
    ``destinations`` a list of ``{"protocol", "port", "seconds"}``; ``forwards`` is a list of
    ``{"protocol", "port", "to", "to_port"}``.

    Raises:
        ConfigError: the file cannot be read, a key is unknown or missing, or a value is wrong.
    """
    reader = ConfigReader.open(path)
    parameters, rules = _parameters(reader, path)
    ipv6_mtu = reader.integer("ipv6_mtu", 1500, MINIMUM_IPV6_MTU, 65535)
    refusal = reader.integer("refusal_code", 13, 0, 13)
    if refusal not in {0, 1, 13}:
        raise reader.wrong("refusal_code", "13 (prohibited), 1 (host unreachable) or 0 (none)")
    br = reader.ipv6("br") if reader.has("br") or parameters.br is None else parameters.br
    try:
        config = CustomerEdgeConfig(
            parameters=parameters,
            br=br,
            lan_address=reader.ipv4("lan_address"),
            rules=rules,
            lan_prefixes=reader.ipv4_prefixes("lan_prefixes", PRIVATE_PREFIXES),
            mesh=reader.boolean("mesh", True),
            ipv6_mtu=ipv6_mtu,
            mss_clamp=_mss_clamp(reader, ipv6_mtu),
            hop_limit=reader.integer("hop_limit", 64, 1, 255),
            outer_fragments=reader.boolean("outer_fragments", False),
            path_mtu_discovery=reader.boolean("path_mtu_discovery", True),
            source_check=reader.boolean("source_check", True),
            rewrite_identification=reader.boolean("rewrite_identification", True),
            port_allocation=_choice(reader, "port_allocation", PortAllocation.SEQUENTIAL),
            seed=reader.integer("seed", 0, 0, 2**63 - 1),
            mapping=_choice(reader, "mapping", MappingBehaviour.ENDPOINT_INDEPENDENT),
            filtering=_choice(reader, "filtering", Filtering.ENDPOINT_INDEPENDENT),
            timeouts=_timeouts(reader.object("timeouts")),
            quota=_quota(reader.object("quota")),
            refusal_code=refusal or None,
            inbound_refresh=reader.boolean("inbound_refresh", False),
            tcp_midstream=reader.boolean("tcp_midstream", False),
            forwards=tuple(_forward(entry, parameters) for entry in reader.objects("forwards")),
            reassembly_timeout=reader.seconds("reassembly_timeout", 60.0),
        )
    except ConfigError as error:
        where = error.where or str(path)
        raise ConfigError(error.what, where=where, hint=error.hint) from None
    reader.finish()
    return config


def _parameters(reader: ConfigReader, path: Path) -> tuple[MapParameters, RuleTable]:
    delegated = reader.ipv6_prefix("delegated_prefix")
    rules, iid = reader.rules("rules")
    layout = reader.layout("iid", iid)
    keep_subnet = reader.boolean("keep_subnet", False)
    try:
        rule = rules.for_prefix(delegated)
        return calculate(delegated, rule, iid=layout, keep_subnet=keep_subnet), rules
    except TestbedError as error:
        raise ConfigError(
            f"delegated_prefix: {error.what}", where=str(path), hint=error.hint
        ) from None


def _mss_clamp(reader: ConfigReader, ipv6_mtu: int) -> int:
    value: Any = reader.take("mss_clamp") if reader.has("mss_clamp") else "off"
    if value == "off":
        return 0
    if value == "auto":
        return ipv6_mtu - 40 - 40  # the tunnel's header, then those of IPv4 and TCP
    if isinstance(value, int) and not isinstance(value, bool) and 64 <= value <= 65535:
        return value
    raise reader.wrong("mss_clamp", '"off", "auto" or a number of bytes from 64')


def _choice(reader: ConfigReader, key: str, default: _Choice) -> _Choice:
    text = reader.text(key, default.value)
    kind = type(default)
    if text not in list(kind):
        raise reader.wrong(key, " or ".join(f'"{choice.value}"' for choice in kind))
    return kind(text)


def _timeouts(reader: ConfigReader) -> Timeouts:
    usual = Timeouts()
    destinations = usual.destinations
    if reader.has("destinations"):
        destinations = MappingProxyType(
            dict(_destination(entry) for entry in reader.objects("destinations"))
        )
    timeouts = Timeouts(
        udp=reader.seconds("udp", usual.udp),
        icmp=reader.seconds("icmp", usual.icmp),
        tcp_established=reader.seconds("tcp_established", usual.tcp_established),
        tcp_opening=reader.seconds("tcp_opening", usual.tcp_opening),
        tcp_closing=reader.seconds("tcp_closing", usual.tcp_closing),
        fragments=reader.seconds("fragments", usual.fragments),
        destinations=destinations,
    )
    reader.finish()
    return timeouts


def _destination(entry: ConfigReader) -> tuple[tuple[int, int], float]:
    key = _protocol(entry), _port(entry, "port")
    entry.take("seconds")
    seconds = entry.seconds("seconds", 0.0)
    entry.finish()
    return key, seconds


def _quota(reader: ConfigReader) -> Quota:
    usual = Quota()
    most = 1 << 31
    mappings = reader.integer("mappings", most, 1, most)
    sessions = reader.integer("sessions", usual.sessions or most, 1, most)
    bits = reader.integer("subscriber_bits", usual.subscriber_bits, 0, 32)
    reader.finish()
    return Quota(None if mappings == most else mappings, sessions, bits)


def _forward(entry: ConfigReader, parameters: MapParameters) -> Forward:
    protocol = _protocol(entry)
    port = _port(entry, "port")
    if port not in parameters.ports:
        shown = parameters.ports.ranges()
        blocks = ", ".join(f"{first}-{last}" for first, last in shown[:3])
        more = f" ... {shown[-1][0]}-{shown[-1][1]}" if len(shown) > 3 else ""
        raise ConfigError(
            f"port {port} is not in this CE's port set (PSID {parameters.psid})",
            where=entry.where,
            hint=f"use one of {blocks}{more}",
        )
    forward = Forward(protocol, port, entry.ipv4("to"), _port(entry, "to_port"))
    entry.finish()
    return forward


def _protocol(entry: ConfigReader) -> int:
    number = _PROTOCOLS.get(entry.text("protocol", ""))
    if number is None:
        entry.take("protocol")
        raise entry.wrong("protocol", '"tcp", "udp" or "icmp"')
    return number


def _port(entry: ConfigReader, key: str) -> int:
    entry.take(key)
    return entry.integer(key, 0, 1, 65535)
