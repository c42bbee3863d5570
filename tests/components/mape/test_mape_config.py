"""Configuration files of the BR: what they may say, and one clear error for what they may not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from testbed.components.mape.br_config import load_br_config
from testbed.components.mape.errors import ConfigError
from testbed.components.mape.iid import IidLayout
from testbed.errors import TestbedError

GOOD: dict[str, Any] = {
    "address": "2404:9200:225:100::64",
    "ipv4_address": "203.0.113.1",
    "rules": "v6plus",
}
RULE = "ipv6=2400:4153:9400::/38,ipv4=180.26.176.0/20,ea=18,offset=6"


def write(folder: Path, data: object) -> Path:
    path = folder / "br.json"
    path.write_text(data if isinstance(data, str) else json.dumps(data), encoding="utf-8")
    return path


def test_the_least_that_is_needed(tmp_path: Path) -> None:
    config = load_br_config(write(tmp_path, GOOD))
    assert str(config.address) == "2404:9200:225:100::64"
    assert len(config.rules) == 8
    assert config.iid is IidLayout.DRAFT03
    assert config.source_check
    assert config.ipv6_mtu == 1500


def test_everything_that_can_be_said(tmp_path: Path) -> None:
    said = {
        "iid": "rfc7597",
        "ipv6_mtu": 1400,
        "source_check": False,
        "outer_fragments": True,
        "path_mtu_discovery": False,
        "hop_limit": 9,
        "fragment_timeout": 2,
        "most_fragments": 5,
        "reassembly_timeout": 1.5,
        "icmp_per_second": 7,
        "icmp_burst": 3,
    }
    config = load_br_config(write(tmp_path, GOOD | said))
    assert {name: getattr(config, name) for name in said} == said


def test_rules_as_strings_and_objects(tmp_path: Path) -> None:
    entry = {"ipv6": "2001:db8::/40", "ipv4": "192.0.2.0/24", "ea": 16, "offset": 6, "fmr": True}
    config = load_br_config(write(tmp_path, GOOD | {"rules": [RULE, entry]}))
    assert [str(rule.ipv6_prefix) for rule in config.rules] == [
        "2400:4153:9400::/38",
        "2001:db8::/40",
    ]
    assert config.rules.rules[1].forwarding
    assert config.iid is IidLayout.RFC7597


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"address": None}, "address is missing"),
        ({"address": "203.0.113.1"}, "is not an IPv6 address"),
        ({"address": 7}, "is not an IPv6 address"),
        ({"ipv4_address": "2001:db8::1"}, "is not an IPv4 address"),
        ({"rules": "v6plsu"}, "no rule table 'v6plsu'"),
        ({"rules": []}, "is not the name of a rule table"),
        ({"rules": [7]}, "rules[0] is not a rule"),
        ({"rules": ["ipv6=2001:db8::/40"]}, "ipv4: is missing"),
        ({"rules": [RULE, RULE]}, "two rules for"),
        ({"rules": [{"ipv6": "2001:db8::/40", "ipv4": "192.0.2.0/24", "ea": "x"}]}, "not a number"),
        ({"iid": "draft3"}, "unknown interface-identifier layout"),
        ({"iid": 3}, "is not a string"),
        ({"ipv6_mtu": 1279}, "from 1280 to 65535"),
        ({"ipv6_mtu": "1500"}, "from 1280 to 65535"),
        ({"ipv6_mtu": True}, "from 1280 to 65535"),
        ({"source_check": "no"}, "is not true or false"),
        ({"fragment_timeout": 0}, "seconds above 0"),
        ({"icmp_per_second": 0}, "a whole number from 1"),
        ({"icmp_burst": 0.5}, "a whole number from 1"),
        ({"hop_limit": 256}, "from 1 to 255"),
        ({"sourcecheck": True}, "did you mean source_check?"),
        ({"colour": "red"}, "the keys are address"),
    ],
)
def test_a_wrong_value_is_one_clear_error(
    tmp_path: Path, change: dict[str, Any], says: str
) -> None:
    path = write(tmp_path, GOOD | change)
    with pytest.raises(TestbedError) as caught:
        load_br_config(path)
    assert says in str(caught.value)
    assert str(path) in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "says"),
    [("{", "not JSON"), ("[]", "a JSON object is expected"), ("\x00", "not JSON")],
)
def test_a_file_that_is_no_object(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_br_config(write(tmp_path, text))
    assert says in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load_br_config(tmp_path / "none.json")
