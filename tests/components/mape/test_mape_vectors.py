"""Worked examples from deployments and from RFC 7597 appendix A."""

from __future__ import annotations

import json
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path
from typing import Any

import pytest

from testbed.components.mape.calc import calculate, ce_address_for, parse_prefix
from testbed.components.mape.describe import as_json, rule_from_mapping
from testbed.components.mape.iid import IidLayout
from testbed.components.mape.rules import MapRule
from testbed.components.mape.tables import all_shipped, shipped_table

DATA: dict[str, Any] = json.loads(
    (Path(__file__).parent / "data" / "mape_vectors.json").read_text(encoding="utf-8")
)
VECTORS: list[dict[str, Any]] = DATA["vectors"]
OPERATORS = ("JPNE", "OCN", "BIGLOBE", "NURO")


def rule_of(vector: dict[str, Any]) -> MapRule:
    given = vector["rule"]
    fields = {
        "ipv6": given["ipv6_prefix"],
        "ipv4": given["ipv4_prefix"],
        "ea": given["ea_len"],
        "offset": given["psid_offset"],
        "br": given["br"],
    }
    return rule_from_mapping(fields, where="vector")


def test_the_vectors_are_all_there() -> None:
    assert len(VECTORS) == 17


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: v["given_prefix"])
def test_vector_with_its_own_rule(vector: dict[str, Any]) -> None:
    rule = rule_of(vector)
    prefix = parse_prefix(vector["given_prefix"])
    for iid in IidLayout:
        parameters = calculate(prefix, rule, iid=iid)
        assert str(parameters.ipv4) == vector["ipv4"]
        assert parameters.psid == vector["psid"]
        assert parameters.psid_len == vector["psid_len"]
        assert parameters.psid_offset == vector["psid_offset"]
        assert [list(block) for block in parameters.ports.ranges()] == vector["port_ranges"]
        assert len(parameters.ports) == vector["n_ports"]
        assert str(parameters.end_user_prefix) == vector["end_user_prefix"]
        assert str(parameters.ce_ipv6) == vector[f"ce_ipv6_{iid.value}"]
        port = vector["port_ranges"][-1][0]
        assert ce_address_for(rule, IPv4Address(vector["ipv4"]), port, iid) == parameters.ce_ipv6


@pytest.mark.parametrize(
    "vector",
    [v for v in VECTORS if v["rule"]["vne"].startswith(OPERATORS)],
    ids=lambda v: v["given_prefix"],
)
def test_vector_with_the_shipped_tables(vector: dict[str, Any]) -> None:
    prefix = parse_prefix(vector["given_prefix"])
    rule = all_shipped().for_prefix(prefix)
    assert shipped_table(rule.name).iid is IidLayout.DRAFT03
    data = as_json(calculate(prefix, rule, iid=IidLayout.DRAFT03))
    assert data["ipv4"] == vector["ipv4"]
    assert data["psid"] == vector["psid"]
    assert data["psid_len"] == vector["psid_len"]
    assert data["psid_offset"] == vector["psid_offset"]
    assert data["ports"] == vector["port_ranges"]
    assert data["ce_ipv6"] == vector["ce_ipv6_draft03"]
    assert data["br"] == vector["rule"]["br"]


def test_subnet_bits_kept_when_asked() -> None:
    key = "ce_ipv6_draft03_keep_subnet_bits"
    (vector,) = [v for v in VECTORS if key in v]
    prefix = parse_prefix(vector["given_prefix"])
    rule = rule_of(vector)
    kept = calculate(prefix, rule, iid=IidLayout.DRAFT03, keep_subnet=True)
    zeroed = calculate(prefix, rule, iid=IidLayout.DRAFT03)
    assert str(kept.ce_ipv6) == vector[key]
    assert str(zeroed.ce_ipv6) == vector["ce_ipv6_draft03"]


# RFC 7597 appendix A.  Examples 2 and 3 ask which MAP address a BR, or another CE, sends to.

EXAMPLE_RULE = MapRule(
    IPv6Network("2001:db8::/40"),
    IPv4Network("192.0.2.0/24"),
    ea_len=16,
    psid_offset=6,
    br=IPv6Address("2001:db8:ffff::1"),
    forwarding=True,
)


def test_rfc7597_example_1_basic_mapping_rule() -> None:
    got = calculate(IPv6Network("2001:db8:12:3400::/56"), EXAMPLE_RULE)
    assert (str(got.ipv4), got.psid, got.psid_len) == ("192.0.2.18", 0x34, 8)
    blocks = got.ports.ranges()
    assert blocks[:2] == ((1232, 1235), (2256, 2259))
    assert blocks[-1] == (64720, 64723)
    assert str(got.ce_ipv6) == "2001:db8:12:3400:0:c000:212:34"


def test_rfc7597_example_2_and_3_where_a_packet_to_port_1232_goes() -> None:
    address = ce_address_for(EXAMPLE_RULE, IPv4Address("192.0.2.18"), 1232)
    assert str(address) == "2001:db8:12:3400:0:c000:212:34"


def test_rfc7597_example_4_no_sharing_without_ea_bits() -> None:
    rule = MapRule(IPv6Network("2001:db8:12:3400::/56"), IPv4Network("192.0.2.18/32"), 0, 6)
    got = calculate(IPv6Network("2001:db8:12:3400::/56"), rule)
    assert (str(got.ipv4), got.psid_len) == ("192.0.2.18", 0)
    assert got.ports.ranges() == ((0, 65535),)
    assert str(got.ce_ipv6) == "2001:db8:12:3400:0:c000:212:0"
    assert ce_address_for(rule, IPv4Address("192.0.2.18"), None) == got.ce_ipv6


def test_rfc7597_example_5_explicit_psid_without_ea_bits() -> None:
    rule = MapRule(
        IPv6Network("2001:db8:12:3400::/56"),
        IPv4Network("192.0.2.18/32"),
        ea_len=0,
        psid_offset=6,
        psid_len=8,
        psid=0x34,
    )
    got = calculate(IPv6Network("2001:db8:12:3400::/56"), rule)
    assert str(got.ce_ipv6) == "2001:db8:12:3400:0:c000:212:34"
    first = calculate(IPv6Network("2001:db8:12:3400::/56"), EXAMPLE_RULE)
    assert got.ports == first.ports
    assert ce_address_for(rule, IPv4Address("192.0.2.18"), 1232) == got.ce_ipv6


def test_a_prefix_per_customer() -> None:
    rule = MapRule(IPv6Network("2001:db8::/40"), IPv4Network("192.0.2.0/24"), 4, 6)
    got = calculate(IPv6Network("2001:db8:50::/44"), rule)
    assert str(got.ipv4_prefix) == "192.0.2.80/28"
    assert as_json(got)["ipv4_prefix"] == "192.0.2.80/28"
    assert str(got.ce_ipv6) == "2001:db8:50::c000:250:0"
    assert ce_address_for(rule, IPv4Address("192.0.2.93"), None) == got.ce_ipv6


def test_port_5237_of_the_v6plus_report_belongs_to_psid_71() -> None:
    """A web server once logged source port 5237 for a v6plus line: block 5232-5247, PSID 0x47."""
    prefix = parse_prefix("240b:10:1:4700::/56")
    got = calculate(prefix, all_shipped().for_prefix(prefix), iid=IidLayout.DRAFT03)
    assert (str(got.ipv4), got.psid) == ("106.72.0.1", 71)
    assert got.ports.psid_of(5237) == 0x47
    assert got.ports.ranges()[0] == (5232, 5247)
    assert str(got.ce_ipv6) == "240b:10:1:4700:6a:4800:100:4700"
