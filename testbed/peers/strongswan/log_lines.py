"""charon's log lines as facts: only the few lines that tell who started what, and how it ended.

The control connection tells which SAs there are but not who asked for a CHILD_SA, nor of deletes
and failures; the log does (strongSwan 5.9, levels as in :mod:`testbed.peers.strongswan.config`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto

_LINE = re.compile(r"(\d+)\.(\d{3}) \d+\[[A-Z]{3}\] (?:<(?:[^|>]+\|)?(\d+)> )?(.*)")


class Fact(Enum):
    """What a line says.  In brackets: its texts."""

    INITIATES_IKE = auto()
    """This end asks for an IKE_SA (its number)."""
    PEER_INITIATES_IKE = auto()
    """The peer asks for one, as first contact or as a rekey."""
    INITIATES_CHILD = auto()
    """This end asks for a CHILD_SA (its name, its number, its reqid or "")."""
    IKE_LIFE = auto()
    """The IKE_SA just made will be given up (after seconds)."""
    EXPIRES = auto()
    """A CHILD_SA's life has ended (one of its SPIs)."""
    CLOSES_CHILD = auto()
    """A CHILD_SA ends (its SPI inbound, its SPI outbound)."""
    SENDS_CHILD_DELETE = auto()
    """A Delete payload is sent (the SPI inbound)."""
    GETS_CHILD_DELETE = auto()
    """A Delete payload has come (the SPI outbound)."""
    CHILD_CLOSED = auto()
    """The CHILD_SAs that end have ended."""
    SENDS_IKE_DELETE = auto()
    """A Delete payload is sent for an IKE_SA (its number)."""
    GETS_IKE_DELETE = auto()
    """One has come (its number)."""
    IKE_DELETED = auto()
    """The IKE_SA has ended."""
    PEER_SILENT = auto()
    """The peer does not answer and is given up."""
    NOTIFY = auto()
    """The peer refuses (the notify's name)."""
    CHILD_REKEY_FAILED = auto()
    """The rekey of a CHILD_SA came to nothing and is tried again."""
    IKE_REKEY_FAILED = auto()
    """The rekey of the IKE_SA came to nothing and is tried again."""


_SPI = r"(?:0x)?([0-9a-f]{8})"
_PATTERNS = tuple(
    (fact, re.compile(pattern))
    for fact, pattern in (
        (Fact.INITIATES_IKE, r"initiating IKE_SA .+\[(\d+)\] to "),
        (Fact.PEER_INITIATES_IKE, r"\S+ is initiating an IKE_SA"),
        (Fact.INITIATES_CHILD, r"establishing CHILD_SA (.+)\{(\d+)\}(?: reqid (\d+))?"),
        (Fact.IKE_LIFE, r"maximum IKE_SA lifetime (\d+)s"),
        (Fact.EXPIRES, rf"creating delete job for CHILD_SA ESP/{_SPI}/"),
        (
            Fact.CLOSES_CHILD,
            rf"closing (?:expired )?CHILD_SA .+\{{\d+\}} with SPIs {_SPI}_i .*?{_SPI}_o ",
        ),
        (Fact.SENDS_CHILD_DELETE, rf"sending DELETE for ESP CHILD_SA with SPI {_SPI}"),
        (Fact.GETS_CHILD_DELETE, rf"received DELETE for ESP CHILD_SA with SPI {_SPI}"),
        (Fact.CHILD_CLOSED, r"CHILD_SA closed"),
        (Fact.SENDS_IKE_DELETE, r"sending DELETE for IKE_SA .+\[(\d+)\]"),
        (Fact.GETS_IKE_DELETE, r"received DELETE for IKE_SA .+\[(\d+)\]"),
        (Fact.IKE_DELETED, r"IKE_SA deleted"),
        (Fact.PEER_SILENT, r"giving up after \d+ retransmits"),
        (Fact.NOTIFY, r"received ([A-Z_]{4,}) notify"),
        (Fact.CHILD_REKEY_FAILED, r"CHILD_SA rekeying failed"),
        (Fact.IKE_REKEY_FAILED, r"IKE_SA rekeying failed"),
    )
)
_NOISE = " sending DPD request"


@dataclass(frozen=True, slots=True)
class Line:
    """A fact: when it was logged (to the millisecond), in which IKE_SA (number), details."""

    time_ns: int
    fact: Fact
    ike: str | None
    texts: tuple[str, ...]


def is_noise(line: str) -> bool:
    """Does the line tell nothing about an SA's life?  There are thousands of them."""
    return line.endswith(_NOISE)


def read_line(line: str) -> Line | None:
    """The fact in a log line, None if it has none for us."""
    match = _LINE.fullmatch(line)
    if match is None:
        return None
    seconds, milliseconds, ike, text = match.groups()
    for fact, pattern in _PATTERNS:
        found = pattern.match(text)
        if found is not None:
            time_ns = int(seconds) * 1_000_000_000 + int(milliseconds) * 1_000_000
            return Line(time_ns, fact, ike, tuple(part or "" for part in found.groups()))
    return None
