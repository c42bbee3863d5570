"""Reading a daemon's JSON configuration: every wrong or unknown key is one clear error."""

from __future__ import annotations

import difflib
import json
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path
from typing import Any, TypeVar

from testbed.components.mape.describe import parse_rule, rule_from_mapping
from testbed.components.mape.errors import ConfigError
from testbed.components.mape.iid import IidLayout, parse_layout
from testbed.components.mape.rules import MapRule
from testbed.components.mape.tables import RuleTable, shipped_table
from testbed.errors import TestbedError

_Value = TypeVar("_Value", IPv4Address, IPv6Address, IPv4Network, IPv6Network)


class ConfigReader:
    """Takes typed values out of one JSON object and knows which keys were asked for.

    ``where`` names the object in errors.  A method without a default demands the key.
    """

    def __init__(self, data: dict[str, Any], where: str) -> None:
        self._data = data
        self._where = where
        self._asked: set[str] = set()

    @classmethod
    def open(cls, path: Path) -> ConfigReader:
        """The reader of a JSON file that holds one object.

        Raises:
            ConfigError: the file cannot be read or is not a JSON object.
        """
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(
                f"cannot read the configuration: {error.strerror}",
                where=str(path),
                hint="check the path given with --config",
            ) from error
        except ValueError as error:
            raise ConfigError(
                f"not JSON: {error}", where=str(path), hint="correct the file at that position"
            ) from error
        if not isinstance(data, dict):
            raise ConfigError(
                "a JSON object is expected", where=str(path), hint='begin with {"address": ...'
            )
        return cls(data, str(path))

    @property
    def where(self) -> str:
        """The place of this object, for errors."""
        return self._where

    def has(self, key: str) -> bool:
        """Whether the key is there (and not null); it counts as asked for."""
        self._asked.add(key)
        return self._data.get(key) is not None

    def take(self, key: str) -> Any:
        """The raw value of a key that must be there."""
        if not self.has(key):
            close = difflib.get_close_matches(key, set(self._data) - self._asked, n=1, cutoff=0.7)
            hint = f"there is {close[0]!r}: did you mean {key!r}?" if close else f"add {key!r}"
            raise ConfigError(f"{key} is missing", where=self._where, hint=hint)
        return self._data[key]

    def ipv6(self, key: str) -> IPv6Address:
        """An IPv6 address."""
        return self._parsed(IPv6Address, key, "an IPv6 address")

    def ipv4(self, key: str) -> IPv4Address:
        """An IPv4 address."""
        return self._parsed(IPv4Address, key, "an IPv4 address")

    def ipv6_prefix(self, key: str) -> IPv6Network:
        """An IPv6 prefix without host bits."""
        return self._parsed(IPv6Network, key, "an IPv6 prefix such as 240b:10:1:4700::/56")

    def ipv4_prefix(self, key: str) -> IPv4Network:
        """An IPv4 prefix without host bits."""
        return self._parsed(IPv4Network, key, "an IPv4 prefix such as 192.168.1.0/24")

    def ipv4_prefixes(self, key: str, default: tuple[IPv4Network, ...]) -> tuple[IPv4Network, ...]:
        """A list of IPv4 prefixes without host bits, at least one."""
        if not self.has(key):
            return default
        value = self._data[key]
        expected = 'a list of IPv4 prefixes such as ["192.168.1.0/24"]'
        if not isinstance(value, list) or not value:
            raise self.wrong(key, expected)
        if not all(isinstance(entry, str) for entry in value):
            raise self.wrong(key, expected)
        try:
            return tuple(IPv4Network(entry) for entry in value)
        except ValueError:
            raise self.wrong(key, expected) from None

    def integer(self, key: str, default: int, least: int, most: int) -> int:
        """A whole number between ``least`` and ``most``."""
        if not self.has(key):
            return default
        value = self._data[key]
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise self.wrong(key, f"a whole number from {least} to {most}")
        return value

    def seconds(self, key: str, default: float) -> float:
        """A time above zero, in seconds."""
        if not self.has(key):
            return default
        value = self._data[key]
        if not isinstance(value, int | float) or isinstance(value, bool) or not value > 0:
            raise self.wrong(key, "a number of seconds above 0")
        return float(value)

    def boolean(self, key: str, default: bool) -> bool:
        """true or false."""
        if not self.has(key):
            return default
        value = self._data[key]
        if not isinstance(value, bool):
            raise self.wrong(key, "true or false")
        return value

    def text(self, key: str, default: str) -> str:
        """A string."""
        if not self.has(key):
            return default
        value = self._data[key]
        if not isinstance(value, str):
            raise self.wrong(key, "a string")
        return value

    def layout(self, key: str, default: IidLayout) -> IidLayout:
        """An interface-identifier layout."""
        try:
            return parse_layout(self.text(key, default.value))
        except TestbedError as error:
            raise ConfigError(f"{key}: {error.what}", where=self._where, hint=error.hint) from None

    def rules(self, key: str) -> tuple[RuleTable, IidLayout]:
        """A shipped table by name, or a list of rules; with the layout that goes with it."""
        value = self.take(key)
        try:
            if isinstance(value, str):
                shipped = shipped_table(value)
                return shipped.table, shipped.iid
            if not isinstance(value, list) or not value:
                raise self.wrong(key, "the name of a rule table, or a list of rules")
            rules = [self.rule(entry, f"{key}[{number}]") for number, entry in enumerate(value)]
            return RuleTable(rules), IidLayout.RFC7597
        except ConfigError:
            raise
        except TestbedError as error:
            raise ConfigError(f"{key}: {error.what}", where=self._where, hint=error.hint) from None

    def rule(self, entry: object, name: str) -> MapRule:
        """One rule, as an object or as the string that the command line takes."""
        if isinstance(entry, str):
            return parse_rule(entry)
        if isinstance(entry, dict):
            return rule_from_mapping(entry, where=f"{self._where}, {name}")
        raise ConfigError(
            f"{name} is not a rule",
            where=self._where,
            hint="write an object or a string such as ipv6=...,ipv4=...,ea=...,offset=...",
        )

    def object(self, key: str) -> ConfigReader:
        """A JSON object with a reader of its own; an empty one when the key is not there."""
        if not self.has(key):
            return ConfigReader({}, f"{self._where}, {key}")
        value = self._data[key]
        if not isinstance(value, dict):
            raise self.wrong(key, "an object")
        return ConfigReader(value, f"{self._where}, {key}")

    def objects(self, key: str) -> list[ConfigReader]:
        """A list of JSON objects, each with a reader of its own; none when the key is not there."""
        if not self.has(key):
            return []
        value = self._data[key]
        if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
            raise self.wrong(key, "a list of objects")
        return [
            ConfigReader(entry, f"{self._where}, {key}[{number}]")
            for number, entry in enumerate(value)
        ]

    def finish(self) -> None:
        """Refuse keys that nobody asked for: a misspelt option must not be ignored."""
        for key in self._data:
            if key not in self._asked:
                close = difflib.get_close_matches(key, self._asked, n=1, cutoff=0.7)
                known = (
                    f"did you mean {close[0]}?"
                    if close
                    else "the keys are " + ", ".join(sorted(self._asked))
                )
                raise ConfigError(f"unknown key {key!r}", where=self._where, hint=known)

    def wrong(self, key: str, expected: str) -> ConfigError:
        """The error for a value of the wrong form."""
        return ConfigError(
            f"{key}: {self._data[key]!r} is not {expected}",
            where=self._where,
            hint=f"give {expected}",
        )

    def _parsed(self, kind: type[_Value], key: str, expected: str) -> _Value:
        value = self.take(key)
        if not isinstance(value, str):
            raise self.wrong(key, expected)
        try:
            return kind(value)
        except ValueError:
            raise self.wrong(key, expected) from None
