"""Rules and parameters as people and files write them."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Address, IPv6Network
from typing import Any, TypeVar

from testbed.components.mape.calc import MapParameters
from testbed.components.mape.errors import RuleError
from testbed.components.mape.rules import MapRule

DEFAULT_OFFSET = 6
"""RFC 7597 section 5.1: the offset to assume when none is given."""

EXAMPLE = "ipv6=2400:4153:9400::/38,ipv4=180.26.176.0/20,ea=18,offset=6"

_KEYS = ("ipv6", "ipv4", "ea", "offset", "psid", "psidlen", "br", "fmr", "name")

_KEY_OF_FIELD = {"ea_len": "ea", "psid_offset": "offset", "psid_len": "psidlen"}

_Network = TypeVar("_Network", IPv4Network, IPv6Network)


def parse_rule(text: str) -> MapRule:
    """Read a rule such as ``ipv6=2400:4153:9400::/38,ipv4=180.26.176.0/20,ea=18,offset=6``.

    Further keys: ``psid`` and ``psidlen`` (explicit PSID; also ``0x34``), ``br``, ``fmr`` (yes/no)
    and ``name``.  The order is free; ``offset`` is 6 when left out (RFC 7597 section 5.1).

    Raises:
        RuleError: a key is unknown, missing or given twice, or its value makes no sense.
    """
    where = f"rule {text!r}"
    fields: dict[str, str] = {}
    for part in text.split(","):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not value:
            raise RuleError(
                key or "rule", f"{part!r} is not KEY=VALUE", where=where, hint=f"as in {EXAMPLE}"
            )
        if key in fields:
            raise RuleError(key, "given twice", where=where, hint="keep one of them")
        fields[key] = value
    return rule_from_mapping(fields, where=where)


def rule_from_mapping(fields: Mapping[str, Any], *, where: str) -> MapRule:
    """A rule from the keys of :func:`parse_rule`, the values being strings or JSON values.

    Raises:
        RuleError: as :func:`parse_rule`; ``where`` is where the rule stands.
    """
    for key in fields:
        if key not in _KEYS:
            close = difflib.get_close_matches(key, _KEYS, n=1, cutoff=0.7)
            hint = f"did you mean {close[0]}?" if close else "the keys are " + ", ".join(_KEYS)
            raise RuleError(key, "no such key in a rule", where=where, hint=hint)
    for key in ("ipv6", "ipv4", "ea"):
        if key not in fields:
            raise RuleError(key, "is missing", where=where, hint=f"as in {EXAMPLE}")
    br = fields.get("br")
    try:
        return MapRule(
            ipv6_prefix=_network(IPv6Network, "ipv6", fields["ipv6"]),
            ipv4_prefix=_network(IPv4Network, "ipv4", fields["ipv4"]),
            ea_len=_number("ea", fields["ea"]),
            psid_offset=_number("offset", fields.get("offset", DEFAULT_OFFSET)),
            psid_len=_optional_number("psidlen", fields.get("psidlen")),
            psid=_optional_number("psid", fields.get("psid")),
            br=None if br is None else _address("br", br),
            forwarding=_flag("fmr", fields.get("fmr", False)),
            name=str(fields.get("name", "")),
        )
    except RuleError as error:
        key = _KEY_OF_FIELD.get(error.field, error.field)
        raise RuleError(key, error.problem, where=where, hint=error.hint or "") from None


def rule_to_mapping(rule: MapRule) -> dict[str, str | int | bool]:
    """The rule in the keys of :func:`rule_from_mapping`; what is not set is left out."""
    fields: dict[str, str | int | bool] = {
        "ipv6": str(rule.ipv6_prefix),
        "ipv4": str(rule.ipv4_prefix),
        "ea": rule.ea_len,
        "offset": rule.psid_offset,
    }
    if rule.psid is not None:
        fields["psid"] = rule.psid
    if rule.psid_len is not None:
        fields["psidlen"] = rule.psid_len
    if rule.br is not None:
        fields["br"] = str(rule.br)
    if rule.forwarding:
        fields["fmr"] = True
    if rule.name:
        fields["name"] = rule.name
    return fields


def format_rule(rule: MapRule) -> str:
    """The rule as :func:`parse_rule` reads it."""
    return ",".join(
        f"{key}={'yes' if value is True else value}" for key, value in rule_to_mapping(rule).items()
    )


def as_json(parameters: MapParameters) -> dict[str, Any]:
    """The parameters as plain JSON data.

    ``ports`` is a list of [first, last]; ``psid_len`` 0 means the address is not shared;
    ``ipv4_prefix`` is there only where the CE holds more than one address.
    """
    data: dict[str, Any] = {
        "ipv4": str(parameters.ipv4),
        "psid": parameters.psid,
        "psid_offset": parameters.psid_offset,
        "psid_len": parameters.psid_len,
        "ports": [[first, last] for first, last in parameters.ports.ranges()],
        "ce_ipv6": str(parameters.ce_ipv6),
        "iid": str(parameters.iid),
        "br": None if parameters.br is None else str(parameters.br),
        "rule": rule_to_mapping(parameters.rule),
    }
    if parameters.rule.assigned_len < 32:
        data["ipv4_prefix"] = str(parameters.ipv4_prefix)
    return data


def _network(kind: type[_Network], key: str, value: object) -> _Network:
    text = str(value)
    if "/" not in text:
        raise RuleError(key, f"{text!r} has no prefix length", hint="write ADDRESS/LENGTH")
    try:
        return kind(text)
    except ValueError as error:
        try:
            loose = kind(text, strict=False)
        except ValueError:
            raise RuleError(key, str(error), hint=f"as in {EXAMPLE}") from None
        raise RuleError(
            key, f"{text} has bits set behind its length", hint=f"did you mean {loose}?"
        ) from None


def _address(key: str, value: object) -> IPv6Address:
    try:
        return IPv6Address(str(value))
    except ValueError as error:
        raise RuleError(key, str(error), hint="an IPv6 address is expected") from None


def _number(key: str, value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    try:
        return int(str(value), 0)
    except ValueError:
        raise RuleError(key, f"{value!r} is not a number", hint=f"as in {EXAMPLE}") from None


def _optional_number(key: str, value: object) -> int | None:
    return None if value is None else _number(key, value)


def _flag(key: str, value: object) -> bool:
    if isinstance(value, bool):
        return value
    if str(value) in {"yes", "true", "1"}:
        return True
    if str(value) in {"no", "false", "0"}:
        return False
    raise RuleError(key, f"{value!r} is neither yes nor no", hint="write fmr=yes or fmr=no")
