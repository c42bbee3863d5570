"""FRR's log lines as events: adjacencies and sessions that come and go, and what is wrong.

Formats of FRR 8.4 with ``log-adjacency-changes detail``, ``bgp log-neighbor-changes`` and
``debug ospf6 interface``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from testbed.events import AdjacencyDown, AdjacencyUp, Event, Note
from testbed.events.routing_kinds import Protocol

COMPONENT = "frr"

_LINE = re.compile(
    r"(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d)(?:\.(\d{1,9}))? ([A-Z0-9]+): (?:\[[A-Z0-9 -]+\])*\s*(.*)"
)
_IN_SERVICE = {"full", "up"}

_OSPF = re.compile(
    r"AdjChg: Nbr (?P<id>\S+?),? NbrIP (?P<ip>\S+) \(\S+\) on (?P<interface>[^:\s]+)\S*: "
    r"(?P<was>\S+) -> (?P<now>\S+) \((?P<why>.*)\)"
)
_OSPF6 = re.compile(
    r"AdjChg: Nbr (?P<id>[\d.]+)\(\S+\) on (?:\S+%)?(?P<interface>[^%\s]+): "
    r"(?P<was>\S+) -> (?P<now>\S+) \((?P<why>.*)\)"
)
_OSPF6_INTERFACE = re.compile(r"Interface state change (?P<interface>\S+): \S+ -> Down")
_BGP = re.compile(
    r"%ADJCHANGE: neighbor (?P<ip>[0-9a-fA-F.:]+)(?:\(\S*\))? in vrf \S+ "
    r"(?P<now>Up|Down)\s*(?P<why>.*)"
)
_BFD = re.compile(
    r"state-change: \[(?P<session>[^\]]*)\] (?P<was>\S+) -> (?P<now>\S+?)"
    r"(?: reason:(?P<why>.*))?"
)
_BFD_PEER = re.compile(r"peer:(?P<ip>[0-9a-fA-F.:]+)")
_BFD_INTERFACE = re.compile(r"ifname:(?P<interface>[^\s,\]]+)")
_CLIENT_GONE = re.compile(r"client \d+ disconnected \d+ (?P<client>\S+) routes removed .*")
_WRONG = re.compile(r".*(?:mismatch|No such command on config line|MTU \d+ is larger).*")

_CLIENTS: Mapping[str, Protocol] = {
    "ospf": "OSPFv2",
    "ospf6": "OSPFv3",
    "bgp": "BGP",
    "bfd": "BFD",
}


@dataclass(frozen=True, slots=True)
class Line:
    """A line: when it was logged, by which daemon (FRR's short name), what it says."""

    time_ns: int
    daemon: str
    text: str


def read_line(line: str) -> Line | None:
    """The parts of a log line (its time is UTC); None if it has not FRR's form."""
    match = _LINE.fullmatch(line)
    if match is None:
        return None
    whole, part, daemon, text = match.groups()
    try:
        moment = datetime.strptime(whole, "%Y/%m/%d %H:%M:%S").replace(tzinfo=UTC)
    except ValueError:  # the thirteenth month
        return None
    return Line(int(moment.timestamp()) * 10**9 + int(f"{part or 0:0<9}"), daemon, text)


class LineReader:
    """Turns the lines of one router's daemons into events.

    A daemon that dies says nothing of its neighbours any more: that they are no longer adjacent is
    told when zebra notices that the daemon is gone, or else when a new one begins anew.  ``names``
    are node names by router ID and by address.
    """

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names
        self._up: dict[tuple[Protocol, str, str | None], AdjacencyUp] = {}
        self._told: set[str] = set()

    def events(self, line: Line) -> Iterator[Event]:
        """What the line tells; most tell nothing."""
        if line.daemon == "ZEBRA":
            yield from self._zebra(line.text)
        elif (gone := _OSPF6_INTERFACE.fullmatch(line.text)) and line.daemon == "OSPF6":
            yield from self._end("OSPFv3", "InterfaceDown", gone["interface"])
        elif (found := _adjacency(line)) is not None:
            yield from self._changed(*found)
        elif _WRONG.fullmatch(line.text):
            # A neighbour that is set up otherwise is complained of with every Hello: once is told.
            kept = re.sub(r"\d+", "", line.text)
            if kept not in self._told:
                self._told.add(kept)
                yield Note(f"{line.daemon}: {line.text}")

    def _zebra(self, text: str) -> Iterator[Event]:
        match = _CLIENT_GONE.fullmatch(text)
        if match is not None and match["client"] in _CLIENTS:
            yield from self._end(_CLIENTS[match["client"]], "its daemon has gone")

    def _end(self, protocol: Protocol, why: str, interface: str | None = None) -> Iterator[Event]:
        """The end of all of a protocol's adjacencies, or of those on an interface."""
        for key, up in list(self._up.items()):
            if up.protocol == protocol and interface in (None, up.interface):
                del self._up[key]
                yield _down(up, why)

    def _changed(self, protocol: Protocol, match: Mapping[str, str | None]) -> Iterator[Event]:
        address = match.get("id") or match.get("ip") or "?"
        interface = match.get("interface")
        key = (protocol, address, interface)
        was, now = ((match.get(part) or "").lower() for part in ("was", "now"))
        if key in self._up and was not in _IN_SERVICE and (was or now in _IN_SERVICE):
            yield _down(self._up.pop(key), "a new daemon")
        if now in _IN_SERVICE and was not in _IN_SERVICE:
            name = self._names.get(address, address)
            self._up[key] = AdjacencyUp(COMPONENT, protocol, name, address, interface)
            yield self._up[key]
        elif now not in _IN_SERVICE and key in self._up:
            yield _down(self._up.pop(key), (match.get("why") or "").strip() or None)


def _down(up: AdjacencyUp, why: str | None) -> AdjacencyDown:
    return AdjacencyDown(COMPONENT, up.protocol, up.neighbor, up.address, up.interface, why)


_Found = tuple[Protocol, Mapping[str, str | None]]


def _adjacency(line: Line) -> _Found | None:
    """An adjacency's change, if the line tells of one."""
    reader = _READERS.get(line.daemon)
    return reader(line.text) if reader else None


def _by(protocol: Protocol, pattern: re.Pattern[str]) -> Callable[[str], _Found | None]:
    def read(text: str) -> _Found | None:
        match = pattern.fullmatch(text)
        return (protocol, match.groupdict()) if match else None

    return read


def _bfd(text: str) -> _Found | None:
    match = _BFD.fullmatch(text)
    if match is None:
        return None
    peer, interface = _BFD_PEER.search(match["session"]), _BFD_INTERFACE.search(match["session"])
    parts = {
        "ip": peer["ip"] if peer else None,
        "interface": interface["interface"] if interface else None,
    }
    return "BFD", {**match.groupdict(), **parts}


_READERS: Mapping[str, Callable[[str], _Found | None]] = {
    "OSPF": _by("OSPFv2", _OSPF),
    "OSPF6": _by("OSPFv3", _OSPF6),
    "BGP": _by("BGP", _BGP),
    "BFD": _bfd,
}
