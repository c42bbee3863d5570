"""The CE's configuration file: what it may say, and what is said about mistakes."""

from __future__ import annotations

import json
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import pytest

from testbed.components.mape.ce import CustomerEdge
from testbed.components.mape.ce_config import CustomerEdgeConfig, PortAllocation, load_ce_config
from testbed.components.mape.errors import ConfigError
from testbed.components.napt.policy import Filtering, MappingBehaviour, Timeouts
from testbed.components.packet.transport import TCP, UDP
from tests.components.mape.ce_home import BR, CE_A

LEAST: dict[str, Any] = {
    "delegated_prefix": "240b:10:1234:4700::/56",
    "rules": "v6plus",
    "lan_address": "192.168.1.1",
}


def _load(folder: Path, **changes: Any) -> CustomerEdgeConfig:
    data = {key: value for key, value in (LEAST | changes).items() if value is not ...}
    path = folder / "ce.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    return load_ce_config(path)


def test_the_least_one_must_say(tmp_path: Path) -> None:
    config = _load(tmp_path, br=BR)
    assert str(config.parameters.ce_ipv6) == CE_A
    assert config.parameters.psid == 71
    assert str(config.br) == BR
    assert (config.tunnel_mtu, config.mesh, config.mss_clamp) == (1460, True, 0)
    assert config.timeouts == Timeouts()
    assert config.filtering is Filtering.ENDPOINT_INDEPENDENT
    CustomerEdge(config)


def test_the_shipped_rules_know_their_br(tmp_path: Path) -> None:
    assert str(_load(tmp_path).br) == BR


def test_everything_one_may_say(tmp_path: Path) -> None:
    config = _load(
        tmp_path,
        br="2001:db8::64",
        lan_prefixes=["192.168.1.0/24", "10.1.0.0/16"],
        mesh=False,
        ipv6_mtu=1400,
        mss_clamp="auto",
        hop_limit=32,
        outer_fragments=True,
        path_mtu_discovery=False,
        source_check=False,
        rewrite_identification=False,
        port_allocation="random",
        seed=7,
        mapping="address-and-port-dependent",
        filtering="address-dependent",
        timeouts={
            "udp": 4,
            "icmp": 1.5,
            "tcp_established": 100,
            "tcp_opening": 5,
            "tcp_closing": 6,
            "fragments": 7,
            "destinations": [{"protocol": "udp", "port": 53, "seconds": 2}],
        },
        quota={"mappings": 100, "sessions": 50, "subscriber_bits": 24},
        refusal_code=1,
        inbound_refresh=True,
        tcp_midstream=True,
        forwards=[{"protocol": "tcp", "port": 5233, "to": "192.168.1.12", "to_port": 80}],
        reassembly_timeout=9,
    )
    assert str(config.br) == "2001:db8::64"
    assert config.lan_prefixes == (IPv4Network("192.168.1.0/24"), IPv4Network("10.1.0.0/16"))
    assert (config.mesh, config.ipv6_mtu, config.tunnel_mtu) == (False, 1400, 1360)
    assert (config.mss_clamp, config.hop_limit) == (1320, 32)
    assert config.outer_fragments
    assert (config.path_mtu_discovery, config.source_check) == (False, False)
    assert (config.port_allocation, config.seed) == (PortAllocation.RANDOM, 7)
    assert config.mapping is MappingBehaviour.ADDRESS_AND_PORT_DEPENDENT
    assert config.filtering is Filtering.ADDRESS_DEPENDENT
    times = config.timeouts
    assert (times.udp, times.icmp, times.tcp_established) == (4, 1.5, 100)
    assert (times.tcp_opening, times.tcp_closing, times.fragments) == (5, 6, 7)
    assert times.idle(UDP, 53) == 2
    assert times.idle(UDP, 54) == 4
    quota = config.quota
    assert (quota.mappings, quota.sessions, quota.subscriber_bits) == (100, 50, 24)
    assert (config.refusal_code, config.inbound_refresh, config.tcp_midstream) == (1, True, True)
    (forward,) = config.forwards
    assert (forward.protocol, forward.port) == (TCP, 5233)
    assert (forward.to, forward.to_port) == (IPv4Address("192.168.1.12"), 80)
    assert config.reassembly_timeout == 9
    CustomerEdge(config)


def test_some_values_have_two_spellings(tmp_path: Path) -> None:
    assert _load(tmp_path, mss_clamp=1300).mss_clamp == 1300
    assert _load(tmp_path, mss_clamp="off").mss_clamp == 0
    assert _load(tmp_path, refusal_code=0).refusal_code is None
    kept = _load(
        tmp_path,
        delegated_prefix="240b:10:1234:5678::/64",
        keep_subnet=True,
        iid="rfc7597",
    )
    assert str(kept.parameters.ce_ipv6) == "240b:10:1234:5678:0:6a48:1234:56"


_FORWARD = {"protocol": "tcp", "port": 5233, "to": "192.168.1.12", "to_port": 80}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lan_address": ...}, "lan_address is missing"),
        ({"lan_prefixes": []}, "is not a list of IPv4 prefixes"),
        ({"lan_prefixes": "192.168.1.0/24"}, "is not a list of IPv4 prefixes"),
        ({"lan_prefixes": ["192.168.1.1/24"]}, "is not a list of IPv4 prefixes"),
        ({"lan_prefixes": ["2001:db8::/32"]}, "is not a list of IPv4 prefixes"),
        ({"lan_prefixes": [3232235776]}, "is not a list of IPv4 prefixes"),
        (
            {"lan_prefixes": ["192.168.2.0/24"]},
            "lan_address: 192.168.1.1 is in none of lan_prefixes (192.168.2.0/24)",
        ),
        ({"lan_address": "203.0.113.9"}, "lan_address: 203.0.113.9 is in none of lan_prefixes"),
        (
            {"forwards": [_FORWARD | {"to": "203.0.113.9"}]},
            "forwards: 203.0.113.9 is in none of lan_prefixes",
        ),
        ({"delegated_prefix": "240b:10:1234:4700::1/56"}, "is not an IPv6 prefix"),
        ({"delegated_prefix": "2001:db8::/56"}, "no rule covers 2001:db8::/56"),
        ({"delegated_prefix": "240b:10::/40"}, "delegated_prefix:"),
        ({"rules": "v7plus"}, "no rule table 'v7plus'"),
        ({"rules": ["ipv6=240b:10::/32,ipv4=106.72.0.0/16,ea=24,offset=4"]}, "br is missing"),
        ({"mesch": True}, "unknown key 'mesch'"),
        ({"ipv6_mtu": 1200}, "a whole number from 1280"),
        ({"mss_clamp": "on"}, '"off", "auto" or a number'),
        ({"mss_clamp": True}, '"off", "auto" or a number'),
        ({"filtering": "open"}, '"endpoint-independent" or "address-dependent"'),
        ({"port_allocation": "luck"}, '"sequential" or "random" or "keep-source-port"'),
        ({"refusal_code": 3}, "13 (prohibited), 1 (host unreachable) or 0"),
        ({"timeouts": [4]}, "timeouts: [4] is not an object"),
        ({"timeouts": {"udp": 0}}, "a number of seconds above 0"),
        ({"timeouts": {"upd": 1}}, "unknown key 'upd'"),
        ({"timeouts": {"destinations": [{"protocol": "udp", "port": 53}]}}, "seconds is missing"),
        ({"quota": {"mappings": 0}}, "a whole number from 1"),
        ({"forwards": [_FORWARD | {"port": 8080}]}, "port 8080 is not in this CE's port set"),
        ({"forwards": [_FORWARD | {"protocol": "gre"}]}, '"tcp", "udp" or "icmp"'),
        ({"forwards": [{"port": 5233}]}, "protocol is missing"),
        ({"forwards": [_FORWARD | {"to_prot": 1}]}, "unknown key 'to_prot'"),
    ],
)
def test_mistakes_are_named_with_their_place(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        _load(tmp_path, **changes)
    assert message in str(caught.value)
    assert str(tmp_path / "ce.json") in str(caught.value.where)
    assert caught.value.hint


def test_a_forward_outside_the_set_is_told_which_ports_there_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        _load(tmp_path, forwards=[_FORWARD, _FORWARD | {"port": 8080}])
    assert caught.value.where == f"{tmp_path / 'ce.json'}, forwards[1]"
    assert caught.value.hint == "use one of 5232-5247, 9328-9343, 13424-13439 ... 62576-62591"
