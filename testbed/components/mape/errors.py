"""What can be wrong with rules and prefixes before any packet is seen."""

from __future__ import annotations

from testbed.errors import TestbedError


class RuleError(TestbedError):
    """A mapping rule is not valid; ``field`` names the wrong part, ``problem`` says what it is."""

    def __init__(self, field: str, what: str, *, where: str | None = None, hint: str) -> None:
        super().__init__(f"{field}: {what}", where=where, hint=hint)
        self.field = field
        self.problem = what


class TableError(TestbedError):
    """A set of rules contradicts itself, or no table has the name asked for."""


class PrefixError(TestbedError):
    """A delegated prefix is not a prefix, or is too short for its rule."""


class NoRuleError(TestbedError):
    """No known rule covers this prefix or address."""


class UnmappedError(TestbedError):
    """An IPv4 address and port do not belong to any CE of the rule."""


class ConfigError(TestbedError):
    """The configuration of a CE or BR is not valid."""
