"""FRR's log lines as events: adjacencies and sessions that come and go, and what is wrong.

Formats of FRR 8.4 with ``log-adjacency-changes detail`` and ``bgp log-neighbor-changes``.
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
    r"(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d)(?:\.(\d{1,9}))? ([A-Z0-9]+): (?:\[[A-Z0-9-]+\])*\s*(.*)"
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
_WRONG = re.compile(r".*(?:mismatch|No such command on config line|MTU \d+ is larger).*")


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

    ``names`` are node names by router ID and by address.
    """

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names
        self._told: set[str] = set()

    def events(self, line: Line) -> Iterator[Event]:
        """What the line tells; most tell nothing."""
        reader = _READERS.get(line.daemon)
        found = reader(line.text) if reader else None
        if found is not None:
            protocol, match = found
            yield from self._changed(protocol, match)
        elif _WRONG.fullmatch(line.text):
            # A neighbour that is set up otherwise is complained of with every Hello: once is told.
            kept = re.sub(r"\d+", "", line.text)
            if kept not in self._told:
                self._told.add(kept)
                yield Note(f"{line.daemon}: {line.text}")

    def _changed(self, protocol: Protocol, match: Mapping[str, str | None]) -> Iterator[Event]:
        was = (match.get("was") or "").lower() in _IN_SERVICE
        now = (match.get("now") or "").lower() in _IN_SERVICE
        address = match.get("id") or match.get("ip") or "?"
        neighbor = self._names.get(address, address)
        interface = match.get("interface")
        if now and not was:
            yield AdjacencyUp(COMPONENT, protocol, neighbor, address, interface)
        elif not now and (was or protocol == "BGP"):  # BGP tells only of those that were
            why = (match.get("why") or "").strip() or None
            yield AdjacencyDown(COMPONENT, protocol, neighbor, address, interface, why)


_Found = tuple[Protocol, Mapping[str, str | None]] | None


def _ospf(text: str) -> _Found:
    match = _OSPF.fullmatch(text)
    return ("OSPFv2", match.groupdict()) if match else None


def _ospf6(text: str) -> _Found:
    match = _OSPF6.fullmatch(text)
    return ("OSPFv3", match.groupdict()) if match else None


def _bgp(text: str) -> _Found:
    match = _BGP.fullmatch(text)
    return ("BGP", match.groupdict()) if match else None


def _bfd(text: str) -> _Found:
    match = _BFD.fullmatch(text)
    if match is None:
        return None
    peer, interface = _BFD_PEER.search(match["session"]), _BFD_INTERFACE.search(match["session"])
    return (
        "BFD",
        {
            **match.groupdict(),
            "ip": peer["ip"] if peer else None,
            "interface": interface["interface"] if interface else None,
        },
    )


_READERS: dict[str, Callable[[str], _Found]] = {
    "OSPF": _ospf,
    "OSPF6": _ospf6,
    "BGP": _bgp,
    "BFD": _bfd,
}
