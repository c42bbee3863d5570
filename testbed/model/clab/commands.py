"""The commands containerlab runs in its nodes, as far as they say what a topology says.

Understood are the everyday forms of ``ip address add``, ``ip route add|replace``, ``ip link set``
(mtu, address, up), ``ip link add ... type dummy``, ``sysctl -w`` and ``nft -f``; iproute2's
abbreviations too (``ip a a``, ``ip r add``); and shell lines (``sh -c``) that are nothing but such
commands one after the other.  Everything else raises :class:`NotUnderstood`, and what no machine
could do :class:`Mistake`; nothing is left out in silence.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field

from testbed.model.text_forms import parse_prefix
from testbed.model.topology import BLACKHOLE, PROHIBIT, UNREACHABLE, InterfaceAddress, Route
from testbed.model.topology import parse_address as parse_with_length

_NO_ROUTE_KINDS = (BLACKHOLE, UNREACHABLE, PROHIBIT)
_HINTS = {
    "iptables": "write the rules as nftables, under firewall in the testbed's own format",
    "ip6tables": "write the rules as nftables, under firewall in the testbed's own format",
    "nft": "put the ruleset into a file that is bound, and load it by nft -f FILE",
    "tc": "impairments are written at the link in the testbed's own format",
}
_SHELLS = ("sh", "bash", "ash", "dash")
_KEYWORDS = ("if", "then", "fi", "for", "while", "do", "done", "case", "!", "{", "}", "cd", "exec")
_NO_SHELL = "of a shell's language only commands one after the other are understood"
UNDERSTOOD = (
    "understood are ip address add, ip route add, ip route replace, "
    "ip link set (mtu, address, up), ip link add type dummy, sysctl -w and nft -f"
)


class NotUnderstood(Exception):
    """A command says something that a topology cannot say, or that is not known here."""

    def __init__(self, what: str, hint: str | None = None) -> None:
        super().__init__(what)
        self.what, self.hint = what, hint


class Mistake(NotUnderstood):
    """A command that no machine would carry out."""


@dataclass(slots=True)
class Effects:
    """What the commands of one node do, in their order."""

    addresses: list[tuple[str, InterfaceAddress]] = field(default_factory=list)
    routes: list[Route] = field(default_factory=list)
    settings: dict[str, str] = field(default_factory=dict)
    mtus: dict[str, int] = field(default_factory=dict)
    macs: dict[str, str] = field(default_factory=dict)
    dummies: list[str] = field(default_factory=list)
    made: set[str] = field(default_factory=set)  # devices of kinds that a topology has not
    rulesets: list[str] = field(default_factory=list)  # files loaded by nft -f


def commands_in(line: str) -> list[str]:
    """The commands of a line: of ``sh -c "one && two; three"`` those, else the line itself.

    Raises:
        NotUnderstood: the shell is asked for more than to run them one after the other.
    """
    try:
        words = shlex.split(line)
    except ValueError:
        return [line]
    shell = words[0].rpartition("/")[2] if words else ""
    if shell not in _SHELLS:
        return [line]
    if len(words) != 3 or words[1] not in ("-c", "-ec", "-lc", "-ce"):
        raise NotUnderstood(f"the script {line!r} is not run", _NO_SHELL)
    lexer = shlex.shlex(words[2].replace("\n", ";"), posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    commands: list[list[str]] = [[]]
    try:
        for token in lexer:
            if token in (";", "&&"):
                commands.append([])
            elif set(token) & set("|&<>()`$*?") or token in _KEYWORDS:
                raise NotUnderstood(f"{token!r} in {line!r} is not understood", _NO_SHELL)
            else:
                commands[-1].append(token)
    except ValueError as error:
        raise Mistake(f"{line!r}: {str(error).lower()}") from None
    return [shlex.join(command) for command in commands if command]


def apply(line: str, effects: Effects) -> None:
    """Add what one command does.

    Raises:
        NotUnderstood: with what about it is not understood.
    """
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise Mistake(f"{line!r}: {str(error).lower()}") from None
    if not words:
        raise Mistake("the command is empty")
    program, *rest = words
    if program == "ip":
        _ip(line, rest, effects)
    elif program == "sysctl":
        _sysctl(line, rest, effects)
    elif program == "nft" and len(rest) == 2 and rest[0] in ("-f", "--file"):
        effects.rulesets.append(rest[1])
    else:
        raise NotUnderstood(f"{line!r} is not run", _HINTS.get(program))


def _sysctl(line: str, words: list[str], effects: Effects) -> None:
    pairs = [word for word in words if word not in ("-w", "-q", "--write", "--quiet")]
    if not pairs:
        raise NotUnderstood(f"{line!r} sets nothing", UNDERSTOOD)
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or key.startswith("-") or not key or not value:
            raise NotUnderstood(
                f"{pair!r} in {line!r} is not understood", "write sysctl -w KEY=VALUE"
            )
        effects.settings[key] = value


def _ip(line: str, words: list[str], effects: Effects) -> None:
    version: int | None = None
    while words and words[0] in ("-4", "-6"):
        version = int(words.pop(0)[1])
    if len(words) < 2:
        raise NotUnderstood(f"{line!r} is not understood", UNDERSTOOD)
    thing, verb, *rest = words
    if _means(thing, "address") and _means(verb, "add"):
        _add_address(line, rest, version, effects)
    elif _means(thing, "route") and (_means(verb, "add") or verb in ("replace", "repl")):
        _add_route(line, rest, version, effects, replace=not _means(verb, "add"))
    elif _means(thing, "route") and verb in ("del", "delete") and rest[:1] == ["default"]:
        return  # of containerlab's management network, which a lab does not have
    elif _means(thing, "link") and _means(verb, "set"):
        _set_link(line, rest, effects)
    elif _means(thing, "link") and _means(verb, "add"):
        _add_link(line, rest, effects)
    else:
        raise NotUnderstood(f"{line!r} is not understood", UNDERSTOOD)


def _means(word: str, full: str) -> bool:
    """True for the word and its abbreviations, as iproute2 takes them."""
    return bool(word) and full.startswith(word)


def _add_address(line: str, words: list[str], version: int | None, effects: Effects) -> None:
    device: str | None = None
    local: str | None = None
    while words:
        word = words.pop(0)
        if word == "dev" and words and device is None:
            device = words.pop(0)
        elif word in ("brd", "broadcast") and words[:1] == ["+"]:
            words.pop(0)  # the usual broadcast address
        elif word == "nodad":
            continue  # a lab's addresses never wait for duplicate detection
        elif word == "local" and words and local is None:
            local = words.pop(0)
        elif local is None and word[:1] in "0123456789abcdefABCDEF:":
            local = word
        else:
            raise NotUnderstood(f"{word!r} in {line!r} is not understood", UNDERSTOOD)
    if device is None or local is None:
        missing = "an address" if local is None else "dev INTERFACE"
        raise Mistake(f"{line!r} has no {missing}")
    if "/" not in local:
        local += "/128" if ":" in local else "/32"
    try:
        address = parse_with_length(local)
    except ValueError as error:
        raise Mistake(f"{error} (in {line!r})") from None
    _check_version(line, address.version, version)
    effects.addresses.append((device, address))


def _check_version(line: str, version: int, wanted: int | None) -> None:
    if wanted is not None and version != wanted:
        raise Mistake(f"{line!r} asks for IPv{wanted} and names an IPv{version} address")


def _add_route(
    line: str, words: list[str], version: int | None, effects: Effects, *, replace: bool
) -> None:
    kind = "unicast"
    if words and words[0] in (*_NO_ROUTE_KINDS, "unicast"):
        kind = words.pop(0)
    if words and words[0] == "to":
        words.pop(0)
    if not words:
        raise Mistake(f"{line!r} has no destination")
    to, options = words.pop(0), _route_options(line, words)
    via = options.get("via")
    if to == "default":
        six = version == 6 or (version is None and via is not None and ":" in via)
        to = "::/0" if six else "0.0.0.0/0"
    try:
        prefix = parse_prefix(to)
    except ValueError as error:
        raise Mistake(f"{error} (in {line!r})") from None
    _check_version(line, prefix.version, version)
    metric, mtu = (int(options[key]) if key in options else None for key in ("metric", "mtu"))
    route = Route(to=prefix, via=via, dev=options.get("dev"), kind=kind, metric=metric, mtu=mtu)
    if replace:
        effects.routes = [
            old for old in effects.routes if (old.to, old.metric) != (route.to, route.metric)
        ]
    effects.routes.append(route)


def _route_options(line: str, words: list[str]) -> dict[str, str]:
    options: dict[str, str] = {}
    while words:
        word = {"preference": "metric", "priority": "metric"}.get(words[0], words[0])
        words.pop(0)
        if word == "via" and words[:1] in (["inet"], ["inet6"]):
            words.pop(0)
        if word not in ("via", "dev", "metric", "mtu") or not words or word in options:
            raise NotUnderstood(f"{word!r} in {line!r} is not understood", UNDERSTOOD)
        value = words.pop(0)
        if word in ("metric", "mtu") and not (value.isascii() and value.isdecimal()):
            raise Mistake(f"{value!r} in {line!r} is not a {word}")
        options[word] = value
    return options


def _set_link(line: str, words: list[str], effects: Effects) -> None:
    if words and words[0] == "dev":
        words.pop(0)
    device: str | None = None
    changes: list[tuple[str, str]] = []
    while words:
        word = words.pop(0)
        if word == "up":
            continue  # every interface of a lab is
        if word in ("mtu", "address") and words:
            changes.append((word, words.pop(0)))
        elif word == "dev" and words and device is None:
            device = words.pop(0)
        elif device is None:
            device = word
        else:
            raise NotUnderstood(f"{word!r} in {line!r} is not understood", UNDERSTOOD)
    if device is None:
        raise Mistake(f"{line!r} names no interface")
    for key, value in changes:
        if key == "address":
            effects.macs[device] = value
        elif value.isascii() and value.isdecimal() and len(value) <= 9:
            effects.mtus[device] = int(value)
        else:
            raise Mistake(f"{value!r} in {line!r} is not an MTU")


def _add_link(line: str, words: list[str], effects: Effects) -> None:
    """A dummy interface is carried out; of any other kind only its name is remembered."""
    if words and words[0] in ("name", "dev"):
        words.pop(0)
    if "name" in words[:-1]:
        name = words[words.index("name") + 1]
    elif words and words[0] not in ("link", "type"):
        name = words[0]
    else:
        raise NotUnderstood(f"{line!r} is not understood", UNDERSTOOD)
    if words[-2:] == ["type", "dummy"] and len(words) <= 4:
        effects.dummies.append(name)
        return
    effects.made.add(name)
    hint = "a topology has cables, LAN segments and dummy interfaces"
    raise NotUnderstood(f"{line!r} makes an interface that a topology cannot have", hint)
