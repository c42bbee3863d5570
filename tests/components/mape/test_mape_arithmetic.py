"""Properties of ports, rules, both directions of the arithmetic, and the rule tables."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from itertools import pairwise

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from testbed.components.mape.calc import calculate, ce_address_for, parse_prefix
from testbed.components.mape.describe import (
    format_rule,
    parse_rule,
    rule_from_mapping,
    rule_to_mapping,
)
from testbed.components.mape.errors import (
    NoRuleError,
    PrefixError,
    RuleError,
    TableError,
    UnmappedError,
)
from testbed.components.mape.iid import IidError, IidLayout, parse_layout
from testbed.components.mape.ports import PortSet, psid_of
from testbed.components.mape.rules import MapRule
from testbed.components.mape.tables import SHIPPED, RuleTable, all_shipped, shipped_table


@st.composite
def layouts(draw: st.DrawFn) -> tuple[int, int]:
    offset = draw(st.integers(0, 16))
    return offset, draw(st.integers(0, 16 - offset))


@st.composite
def rules(draw: st.DrawFn) -> MapRule:
    """Any valid rule: shared, whole address, prefix, explicit PSID, prefixes longer than 64."""
    len4 = draw(st.integers(0, 32))
    ipv4 = draw(st.integers(0, (1 << len4) - 1)) << (32 - len4)
    kind = draw(st.sampled_from(["shared", "whole", "prefix", "explicit"]))
    offset = draw(st.integers(0, 16))
    psid_len = psid = None
    ea_len = 32 - len4
    if kind == "shared":
        ea_len += draw(st.integers(0, 16 - offset))
    elif kind == "prefix":
        ea_len = draw(st.integers(0, ea_len))
    elif kind == "explicit" and offset < 16:
        psid_len = draw(st.integers(1, 16 - offset))
        psid = draw(st.integers(0, (1 << psid_len) - 1))
    len6 = draw(st.integers(0, min(128 - ea_len, 100)))
    ipv6 = draw(st.integers(0, (1 << len6) - 1)) << (128 - len6)
    return MapRule(
        IPv6Network((ipv6, len6)),
        IPv4Network((ipv4, len4)),
        ea_len,
        offset,
        psid_len=psid_len,
        psid=psid,
        br=draw(st.none() | st.just(IPv6Address("2001:db8::64"))),
        forwarding=draw(st.booleans()),
        name=draw(st.sampled_from(["", "one"])),
    )


@given(layouts(), st.integers(0, 0xFFFF))
def test_every_port_has_exactly_one_owner_or_is_excluded(
    layout: tuple[int, int], port: int
) -> None:
    offset, length = layout
    owner = psid_of(port, offset, length)
    excluded = length > 0 and offset > 0 and port < 1 << (16 - offset)
    assert (owner is None) == excluded
    if owner is not None:
        assert port in PortSet(owner, offset, length)
        other = (owner + 1) % (1 << length)
        assert other == owner or port not in PortSet(other, offset, length)


@pytest.mark.parametrize(("offset", "length"), [(4, 8), (6, 6), (6, 8), (0, 4), (0, 0), (16, 0)])
def test_the_port_sets_of_all_psids_tile_the_ports(offset: int, length: int) -> None:
    seen: list[int] = []
    for psid in range(1 << length):
        seen.extend(PortSet(psid, offset, length))
    first = 1 << (16 - offset) if offset and length else 0
    assert sorted(seen) == list(range(first, 65536))


@given(layouts(), st.data())
@settings(max_examples=60, deadline=None)
def test_port_set_views_agree(layout: tuple[int, int], data: st.DataObject) -> None:
    offset, length = layout
    ports = PortSet(data.draw(st.integers(0, (1 << length) - 1)), offset, length)
    by_test = [port for port in range(65536) if port in ports]
    assert list(ports) == by_test
    assert len(ports) == len(by_test)
    assert all(ports.psid_of(port) == ports.psid for port in by_test)
    blocks = ports.ranges()
    assert all(first <= last for first, last in blocks)
    assert all(a[1] < b[0] for a, b in pairwise(blocks))


def test_a_port_set_contains_ports_only() -> None:
    whole = PortSet(0, 0, 0)
    assert 0 in whole
    assert 65535 in whole
    assert 65536 not in whole
    assert -1 not in whole
    assert "80" not in whole


@pytest.mark.parametrize(
    ("psid", "offset", "length", "field"),
    [
        (256, 4, 8, "psid"),
        (-1, 4, 8, "psid"),
        (0, 17, 0, "psid_offset"),
        (0, -1, 0, "psid_offset"),
        (0, 0, 17, "psid_len"),
        (0, 9, 8, "psid_offset"),
    ],
)
def test_impossible_port_sets(psid: int, offset: int, length: int, field: str) -> None:
    with pytest.raises(RuleError) as caught:
        PortSet(psid, offset, length)
    assert caught.value.field == field
    assert caught.value.hint


@given(rules(), st.sampled_from(IidLayout), st.data())
def test_ce_and_br_invert_each_other(rule: MapRule, iid: IidLayout, data: st.DataObject) -> None:
    """Prefix -> address and ports (CE); any such address and port -> the same MAP address (BR)."""
    ea_bits = data.draw(st.integers(0, (1 << rule.ea_len) - 1))
    subnet_len = data.draw(st.integers(0, max(0, 64 - rule.end_user_len)))
    subnet = data.draw(st.integers(0, (1 << subnet_len) - 1))
    below = 128 - rule.end_user_len
    bits = rule.ipv6_bits | ea_bits << below | subnet << (below - subnet_len)
    delegated = IPv6Network((bits, rule.end_user_len + subnet_len))

    ce = calculate(delegated, rule, iid=iid)
    assert ce.ce_ipv6 in ce.end_user_prefix
    assert delegated.subnet_of(ce.end_user_prefix)
    assert ce.ipv4_prefix.subnet_of(rule.ipv4_prefix)
    held = data.draw(st.integers(0, ce.ipv4_prefix.num_addresses - 1))
    if len(ce.ports):
        block = data.draw(st.sampled_from(ce.ports.ranges()))
        port = data.draw(st.integers(*block))
        assert ce_address_for(rule, ce.ipv4 + held, port, iid) == ce.ce_ipv6
    if not rule.shared:
        assert ce_address_for(rule, ce.ipv4 + held, None, iid) == ce.ce_ipv6


@given(rules(), st.sampled_from(IidLayout), st.integers(0, 0xFFFF), st.data())
def test_br_and_ce_invert_each_other(
    rule: MapRule, iid: IidLayout, port: int, data: st.DataObject
) -> None:
    """Any address and port of the rule -> MAP address (BR); its prefix -> that address and port."""
    offset = data.draw(st.integers(0, rule.ipv4_prefix.num_addresses - 1))
    ipv4 = rule.ipv4_prefix.network_address + offset
    try:
        address = ce_address_for(rule, ipv4, port, iid)
    except UnmappedError:
        ports = PortSet(rule.psid or 0, rule.psid_offset, rule.k)
        assert rule.shared
        assert ports.psid_of(port) is None or rule.psid not in (None, ports.psid_of(port))
        return
    length = max(rule.end_user_len, 64)
    delegated = IPv6Network((int(address) >> (128 - length) << (128 - length), length))
    ce = calculate(delegated, rule, iid=iid)
    assert ipv4 in ce.ipv4_prefix
    assert port in ce.ports
    assert ce.ce_ipv6 == address


@given(rules())
def test_rules_survive_being_written_and_read(rule: MapRule) -> None:
    assert parse_rule(format_rule(rule)) == rule
    assert rule_from_mapping(rule_to_mapping(rule), where="here") == rule


def linear_for_prefix(table: RuleTable, prefix: IPv6Network) -> MapRule | None:
    fitting = [rule for rule in table if prefix.subnet_of(rule.ipv6_prefix)]
    return max(fitting, key=lambda rule: rule.ipv6_prefix.prefixlen, default=None)


def linear_for_ipv4(table: RuleTable, address: IPv4Address, port: int) -> MapRule | None:
    fitting = [rule for rule in table if address in rule.ipv4_prefix]
    longest = max((rule.ipv4_prefix.prefixlen for rule in fitting), default=0)
    fitting = [rule for rule in fitting if rule.ipv4_prefix.prefixlen == longest]
    if len(fitting) > 1:
        fitting = [r for r in fitting if psid_of(port, r.psid_offset, r.k) == r.psid]
    return fitting[0] if fitting else None


near_a_rule6 = st.sampled_from(all_shipped().rules).flatmap(
    lambda rule: st.integers(-(1 << 100), 1 << 100).map(lambda d: rule.ipv6_bits + d)
)
near_a_rule4 = st.sampled_from(all_shipped().rules).flatmap(
    lambda rule: st.integers(-(1 << 16), 1 << 18).map(lambda d: rule.ipv4_bits + d)
)


@given(near_a_rule6 | st.integers(0, (1 << 128) - 1), st.integers(24, 128))
@settings(deadline=None)
def test_fast_ipv6_lookup_is_the_linear_one(bits: int, length: int) -> None:
    prefix = IPv6Network((bits >> (128 - length) << (128 - length), length))
    want = linear_for_prefix(all_shipped(), prefix)
    assert all_shipped().for_ipv6_bits(int(prefix.network_address), length) == want


@given(near_a_rule4 | st.integers(0, (1 << 32) - 1), st.integers(0, 65535))
@settings(deadline=None)
def test_fast_ipv4_lookup_is_the_linear_one(bits: int, port: int) -> None:
    address = IPv4Address(bits)
    want = linear_for_ipv4(all_shipped(), address, port)
    assert all_shipped().for_ipv4(address, port) == want
    assert all_shipped().covering_ipv4_bits(bits) == want


@given(st.lists(rules(), max_size=6), st.data())
def test_lookup_in_nested_tables_is_the_linear_one(
    many: list[MapRule], data: st.DataObject
) -> None:
    try:
        table = RuleTable(many)
    except TableError:
        assume(False)
    bits6 = data.draw(st.sampled_from([rule.ipv6_bits for rule in many] or [0]))
    bits4 = data.draw(st.sampled_from([rule.ipv4_bits for rule in many] or [0]))
    port = data.draw(st.integers(0, 65535))
    length = data.draw(st.integers(0, 128))
    prefix = IPv6Network((bits6 >> (128 - length) << (128 - length), length))
    fast = table.for_ipv6_bits(int(prefix.network_address), length)
    assert fast == linear_for_prefix(table, prefix)
    address = IPv4Address(bits4)
    assert table.for_ipv4(address, port) == linear_for_ipv4(table, address, port)


def explicit(psid: int, length: int = 8) -> MapRule:
    return MapRule(
        IPv6Network((0x20010DB8 << 96 | psid << 72, 56)),
        IPv4Network("192.0.2.18/32"),
        ea_len=0,
        psid_offset=6,
        psid_len=length,
        psid=psid,
    )


def test_rules_with_explicit_psids_divide_one_address() -> None:
    table = RuleTable([explicit(1), explicit(2)])
    address = IPv4Address("192.0.2.18")
    assert table.for_ipv4(address, 1028) == explicit(1)
    assert table.for_ipv4(address, 1032) == explicit(2)
    assert table.for_ipv4(address, 1036) is None
    assert table.for_ipv4(address) is None
    assert table.covering_ipv4_bits(int(address)) == explicit(1)


@pytest.mark.parametrize(
    "pair",
    [
        (explicit(1), replace(explicit(1), ipv6_prefix=IPv6Network("2001:db8:9::/56"))),
        (explicit(1), explicit(2, length=9)),
        (explicit(1), replace(explicit(2), psid=None, psid_len=None)),
        (explicit(1), replace(explicit(1), ipv4_prefix=IPv4Network("192.0.2.19/32"))),
    ],
    ids=["same PSID", "layouts differ", "one without PSID", "same IPv6 prefix"],
)
def test_contradicting_rules_are_refused(pair: tuple[MapRule, MapRule]) -> None:
    with pytest.raises(TableError) as caught:
        RuleTable(pair)
    assert caught.value.hint


def test_shipped_tables() -> None:
    sizes = {name: len(shipped_table(name).table) for name in SHIPPED}
    assert sizes == {"v6plus": 8, "ocn": 155, "biglobe": 258, "nuro": 18}
    assert len(all_shipped()) == 439
    assert all(shipped_table(name).sources for name in SHIPPED)
    assert {rule.end_user_len for rule in all_shipped()} == {56}
    brs = {str(rule.br) for rule in shipped_table("biglobe").table}
    assert brs == {"2001:260:700:1::1:275", "2001:260:700:1::1:276"}


def test_no_table_of_that_name() -> None:
    with pytest.raises(TableError) as caught:
        shipped_table("v6plsu")
    assert "v6plus" in str(caught.value.hint)


def test_no_rule_for_a_prefix() -> None:
    with pytest.raises(NoRuleError) as caught:
        all_shipped().for_prefix(IPv6Network("2001:db8::/56"))
    assert "2001:db8::/56" in caught.value.what


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("240b:10::", "no prefix length"),
        ("240b:10::/129", "is not an IPv6 prefix"),
        ("nonsense/56", "is not an IPv6 prefix"),
        ("240b:10:1:4711::/56", "did you mean 240b:10:1:4700::/56?"),
    ],
)
def test_bad_prefixes(text: str, says: str) -> None:
    with pytest.raises(PrefixError) as caught:
        parse_prefix(text)
    assert says in str(caught.value)


def test_prefix_and_rule_must_fit() -> None:
    rule = shipped_table("v6plus").table.rules[0]
    with pytest.raises(PrefixError, match="too short"):
        calculate(IPv6Network("240b:10:1::/48"), rule)
    with pytest.raises(PrefixError, match="not inside"):
        calculate(IPv6Network("240b:11:1::/56"), rule)


def test_addresses_outside_a_rule_have_no_ce() -> None:
    rule = shipped_table("v6plus").table.rules[0]
    with pytest.raises(UnmappedError, match="not inside"):
        ce_address_for(rule, IPv4Address("192.0.2.1"), 5232)
    with pytest.raises(UnmappedError, match="without a port"):
        ce_address_for(rule, IPv4Address("106.72.0.1"), None)
    with pytest.raises(UnmappedError, match="port 80"):
        ce_address_for(rule, IPv4Address("106.72.0.1"), 80)


GOOD = "ipv6=2400:4153:9400::/38,ipv4=180.26.176.0/20,ea=18,offset=6"


def test_the_documented_rule() -> None:
    rule = parse_rule(GOOD)
    assert (rule.k, rule.suffix_len, rule.end_user_len) == (6, 12, 56)
    assert parse_rule(GOOD.removesuffix(",offset=6")) == rule
    assert parse_rule(GOOD.replace(",", " , ")) == rule


@pytest.mark.parametrize(
    ("text", "field", "says"),
    [
        ("", "rule", "is not KEY=VALUE"),
        ("ipv6", "ipv6", "is not KEY=VALUE"),
        (GOOD + ",", "rule", "is not KEY=VALUE"),
        (GOOD + ",ea=", "ea", "is not KEY=VALUE"),
        (GOOD + ",ea=18", "ea", "given twice"),
        (GOOD.replace("ea=18", "ae=18"), "ae", "the keys are ipv6, ipv4, ea"),
        (GOOD.replace("offset", "ofset"), "ofset", "did you mean offset?"),
        (GOOD.replace(",ea=18", ""), "ea", "is missing"),
        (GOOD.replace("ea=18", "ea=many"), "ea", "is not a number"),
        (GOOD.replace("ea=18", "ea=49"), "ea", "out of range"),
        (GOOD.replace("ea=18", "ea=-1"), "ea", "out of range"),
        (GOOD.replace("::/38", "::/112"), "ea", "exceed 128 bits"),
        (GOOD.replace("/38", "/30"), "ipv6", "did you mean 2400:4150::/30?"),
        (GOOD.replace("/38", ""), "ipv6", "has no prefix length"),
        (GOOD.replace("2400:", "24000:"), "ipv6", "24000"),
        (GOOD.replace("/20", "/33"), "ipv4", "33"),
        (GOOD.replace("/20", "/16"), "ipv4", "did you mean 180.26.0.0/16?"),
        (GOOD.replace("offset=6", "offset=17"), "offset", "out of range"),
        (GOOD.replace("offset=6", "offset=11"), "offset", "need 17 bits"),
        (GOOD + ",psid=3,psidlen=6", "psid", "carry the PSID already"),
        (GOOD + ",psidlen=7", "psidlen", "carry 6 bits"),
        (GOOD.replace("ea=18", "ea=8") + ",psid=1,psidlen=2", "psid", "IPv4 prefixes of /28"),
        (GOOD.replace("ea=18", "ea=12") + ",psid=1", "psidlen", "needs its length"),
        (GOOD.replace("ea=18", "ea=12") + ",psid=64,psidlen=6", "psid", "does not fit"),
        (GOOD.replace("ea=18", "ea=12") + ",psidlen=6", "psidlen", "carry 0 bits"),
        (GOOD + ",br=10.0.0.1", "br", "an IPv6 address is expected"),
        (GOOD + ",fmr=perhaps", "fmr", "neither yes nor no"),
    ],
)
def test_bad_rules_name_the_key_and_help(text: str, field: str, says: str) -> None:
    with pytest.raises(RuleError) as caught:
        parse_rule(text)
    assert caught.value.field == field
    assert says in str(caught.value)
    assert caught.value.hint
    assert str(caught.value.where) == f"rule {text!r}"


@given(st.text(alphabet="ipv6=24:/,e ax.0", max_size=60))
def test_any_text_is_a_rule_or_a_clear_error(text: str) -> None:
    try:
        parse_rule(text)
    except RuleError as error:
        assert error.hint


def test_layout_names() -> None:
    assert parse_layout("draft03") is IidLayout.DRAFT03
    with pytest.raises(IidError) as caught:
        parse_layout("draft3")
    assert "draft03" in str(caught.value.hint)
