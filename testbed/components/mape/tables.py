"""Sets of mapping rules with longest-prefix look-up, and the tables that ship as data.

Look-up walks the prefix lengths that occur, longest first, one dictionary access each: a handful
for the shipped tables, so about a microsecond.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from ipaddress import IPv4Address, IPv6Address, IPv6Network

from testbed.components.mape.ce_address import psid_for
from testbed.components.mape.describe import rule_from_mapping
from testbed.components.mape.errors import NoRuleError, TableError
from testbed.components.mape.iid import IidLayout, parse_layout
from testbed.components.mape.rules import MapRule

SHIPPED = ("v6plus", "ocn", "biglobe", "nuro")
"""Names of the rule tables in the package."""


class RuleTable:
    """An immutable set of rules, found by IPv6 prefix or by IPv4 address (and port).

    Several rules may share one IPv4 prefix only when each carries an explicit PSID of its own.

    Raises:
        TableError: two rules claim the same IPv6 prefix, or the same IPv4 address and port.
    """

    def __init__(self, rules: Iterable[MapRule]) -> None:
        self.rules = tuple(rules)
        by_ipv6: dict[int, dict[int, MapRule]] = {}
        by_ipv4: dict[int, dict[int, tuple[MapRule, ...]]] = {}
        for rule in self.rules:
            length = rule.ipv6_prefix.prefixlen
            slot6 = by_ipv6.setdefault(length, {})
            key6 = rule.ipv6_bits >> (128 - length)
            if key6 in slot6:
                raise TableError(
                    f"two rules for {rule.ipv6_prefix}: {slot6[key6]} and {rule}",
                    hint="keep one of them",
                )
            slot6[key6] = rule
            length = rule.ipv4_prefix.prefixlen
            slot4 = by_ipv4.setdefault(length, {})
            key4 = rule.ipv4_bits >> (32 - length)
            slot4[key4] = (*slot4.get(key4, ()), rule)
            _check_neighbours(slot4[key4])
        self._by_ipv6 = [(128 - n, n, by_ipv6[n]) for n in sorted(by_ipv6, reverse=True)]
        self._by_ipv4 = [(32 - n, by_ipv4[n]) for n in sorted(by_ipv4, reverse=True)]

    def __len__(self) -> int:
        return len(self.rules)

    def __iter__(self) -> Iterator[MapRule]:
        return iter(self.rules)

    def for_prefix(self, prefix: IPv6Network) -> MapRule:
        """The longest rule that covers a delegated prefix: its BMR.

        Raises:
            NoRuleError: there is none.
        """
        rule = self.for_ipv6_bits(int(prefix.network_address), prefix.prefixlen)
        if rule is None:
            raise NoRuleError(
                f"no rule covers {prefix}",
                hint="check the prefix, choose another table, or give the rule itself",
            )
        return rule

    def for_ipv6_bits(self, bits: int, length: int = 128) -> MapRule | None:
        """The longest rule, not longer than ``length``, that covers this address or prefix."""
        for shift, rule_length, rules in self._by_ipv6:
            if rule_length <= length:
                rule = rules.get(bits >> shift)
                if rule is not None:
                    return rule
        return None

    def for_ipv6(self, address: IPv6Address) -> MapRule | None:
        """The longest rule that covers an IPv6 address."""
        return self.for_ipv6_bits(int(address))

    def for_ipv4_bits(self, bits: int, port: int | None = None) -> MapRule | None:
        """The longest rule that covers an IPv4 address.

        Where rules with explicit PSIDs share the prefix, ``port`` picks among them; None when none
        of them owns the port (or no port is given).
        """
        for shift, groups in self._by_ipv4:
            group = groups.get(bits >> shift)
            if group is not None:
                if len(group) == 1:
                    return group[0]
                for rule in group:
                    if psid_for(rule, port) is not None:
                        return rule
                return None
        return None

    def for_ipv4(self, address: IPv4Address, port: int | None = None) -> MapRule | None:
        """As :meth:`for_ipv4_bits`, for an address object."""
        return self.for_ipv4_bits(int(address), port)

    def covering_ipv4_bits(self, bits: int) -> MapRule | None:
        """A rule that covers the address, whatever the port: all of a group are shared alike."""
        for shift, groups in self._by_ipv4:
            group = groups.get(bits >> shift)
            if group is not None:
                return group[0]
        return None


def _check_neighbours(group: tuple[MapRule, ...]) -> None:
    """Rules of one IPv4 prefix must divide its ports without overlap."""
    if len(group) == 1:
        return
    layouts = {(rule.psid_offset, rule.k) for rule in group}
    psids = {rule.psid for rule in group}
    if None in psids or len(psids) < len(group) or len(layouts) > 1:
        raise TableError(
            f"several rules for {group[0].ipv4_prefix} claim the same ports: "
            + " and ".join(str(rule) for rule in group),
            hint="keep one, or give each an explicit PSID of its own, offset and length alike",
        )


@dataclass(frozen=True, slots=True)
class ShippedTable:
    """A provider's published rules: data, where it comes from, and how its CEs build their IID."""

    name: str
    title: str
    note: str
    sources: tuple[str, ...]
    iid: IidLayout
    table: RuleTable


@cache
def shipped_table(name: str) -> ShippedTable:
    """The table of that name from the package.

    Raises:
        TableError: there is none.
    """
    if name not in SHIPPED:
        raise TableError(
            f"no rule table {name!r}", hint="the shipped tables are " + ", ".join(SHIPPED)
        )
    file = resources.files("testbed.components.mape") / "data" / f"{name}.json"
    data = json.loads(file.read_text(encoding="utf-8"))
    common = {"name": name, "fmr": data["forwarding"]}
    rules = (
        rule_from_mapping({**common, **entry}, where=f"{name}.json, rule {number}")
        for number, entry in enumerate(data["rules"], 1)
    )
    return ShippedTable(
        name=name,
        title=data["title"],
        note=data["note"],
        sources=tuple(data["sources"]),
        iid=parse_layout(data["iid"]),
        table=RuleTable(rules),
    )


@cache
def all_shipped() -> RuleTable:
    """All shipped tables as one; ``rule.name`` says which table a rule comes from."""
    return RuleTable(rule for name in SHIPPED for rule in shipped_table(name).table)
