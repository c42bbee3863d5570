"""The shipped tables against the community's own encoding of the same address space.

Customers' routers have been running on the community table for years; where both know a prefix they
must give the same address, ports, tunnel address and BR.
"""

from __future__ import annotations

import json
from ipaddress import IPv6Network
from pathlib import Path

from testbed.components.mape.calc import calculate
from testbed.components.mape.describe import as_json, rule_from_mapping
from testbed.components.mape.errors import NoRuleError
from testbed.components.mape.iid import IidLayout
from testbed.components.mape.rules import MapRule
from testbed.components.mape.tables import all_shipped

DATA = json.loads((Path(__file__).parent / "data" / "community_rules.json").read_text())
RULES = [rule_from_mapping(entry, where="community") for entry in DATA["rules"]]


def samples(rule: MapRule) -> list[IPv6Network]:
    """Delegated prefixes at both edges of the rule and in between."""
    last = (1 << rule.ea_len) - 1
    chosen = {0, 1, 0x47, last // 3, last // 2, last // 2 + 1, last - 0x47, last}
    below = 128 - rule.end_user_len
    return [IPv6Network((rule.ipv6_bits | ea << below, 56)) for ea in sorted(chosen)]


def test_both_tables_give_a_customer_the_same() -> None:
    compared = unknown = 0
    for rule in RULES:
        for prefix in samples(rule):
            theirs = as_json(calculate(prefix, rule, iid=IidLayout.DRAFT03))
            try:
                ours = all_shipped().for_prefix(prefix)
            except NoRuleError:
                unknown += 1
                continue
            mine = as_json(calculate(prefix, ours, iid=IidLayout.DRAFT03))
            del theirs["rule"], mine["rule"]
            assert mine == theirs, prefix
            compared += 1
    assert len(RULES) == 432
    assert compared > 3000
    assert unknown == 0
