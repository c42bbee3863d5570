"""Why a NAPT drops a packet: one value each, with its meaning and the clause behind it."""

from __future__ import annotations

from enum import Enum


class DropReason(Enum):
    """A reason for dropping a packet.

    ``value`` is the stable name that stands in ``Drop.reason``, ``meaning`` a sentence for a
    reader, ``clause`` the document and section that ask for (or explain) the drop.
    """

    meaning: str
    clause: str

    def __new__(cls, name: str, clause: str, meaning: str) -> DropReason:
        """Make ``name`` the value, so that ``DropReason("no-mapping")`` finds the member."""
        member = object.__new__(cls)
        member._value_ = name
        member.meaning = meaning
        member.clause = clause
        return member

    MALFORMED = (
        "malformed",
        "RFC 1812 section 5.2.2",
        "A header is cut off, contradicts itself, or has a wrong checksum.",
    )
    BAD_ADDRESS = (
        "bad-address",
        "RFC 1812 section 5.3.7",
        "Source or destination is not an address that may be translated "
        "(multicast, broadcast, loopback, 0/8 or class E).",
    )
    PORTLESS_PROTOCOL = (
        "protocol-without-ports",
        "RFC 3022 section 2.2",
        "Neither TCP, UDP nor an ICMP query: there is no port by which an answer could be told "
        "from that of another holder of the shared address.",
    )
    PORT_OUTSIDE_SET = (
        "port-outside-set",
        "RFC 7597 section 8.1",
        "Inbound to an address or port that is not ours to translate.",
    )
    NO_MAPPING = (
        "no-mapping",
        "RFC 4787 section 5",
        "The port is ours, but nobody inside uses it and no static forward claims it.",
    )
    FILTERED = (
        "filtered",
        "RFC 4787 REQ-8",
        "There is a mapping, but the filtering behaviour does not admit this remote endpoint.",
    )
    TCP_NO_SESSION = (
        "tcp-no-session",
        "RFC 6146 section 3.5.2.2 (CLOSED)",
        "An outbound TCP segment without SYN of a connection that is not known (any more).",
    )
    PORTS_EXHAUSTED = (
        "ports-exhausted",
        "RFC 6888 REQ-11, RFC 5508 REQ-8",
        "No free port in the pool for a new mapping; mappings in use are left alone.",
    )
    MAPPING_QUOTA = (
        "mapping-quota",
        "RFC 6888 REQ-4",
        "The subscriber has as many mappings of this protocol as it may have.",
    )
    SESSION_QUOTA = (
        "session-quota",
        "RFC 6888 REQ-5",
        "The mapping has as many sessions as it may have.",
    )
    ICMP_UNSOLICITED_QUERY = (
        "icmp-unsolicited-query",
        "RFC 5508 REQ-1",
        "An ICMP query from outside, or an answer to none: only queries from inside and their "
        "answers are translated.",
    )
    ICMP_HAIRPIN_QUERY = (
        "icmp-hairpin-query",
        "RFC 5508 REQ-7",
        "An ICMP query from inside to our own outside address: a NAPT need not hairpin it, and "
        "nobody stands behind the address as a whole.",
    )
    ICMP_ERROR_NO_MAPPING = (
        "icmp-error-no-mapping",
        "RFC 5508 REQ-4, REQ-5",
        "An ICMP error whose quoted packet belongs to no mapping.",
    )
    ICMP_CHECKSUM = (
        "icmp-checksum",
        "RFC 5508 REQ-3",
        "The checksum of an ICMP error, or of the IPv4 header it quotes, is wrong.",
    )
    ICMP_TYPE = (
        "icmp-type",
        "RFC 5508 REQ-11",
        "An ICMP message that is neither a query nor a translatable error (redirect, source "
        "quench, router discovery), or an error in fragments.",
    )
    TTL_EXCEEDED = (
        "ttl-exceeded",
        "RFC 1812 section 5.3.1",
        "A packet to be hairpinned has no hop left for the way back.",
    )
    FRAGMENT_TINY = (
        "fragment-tiny",
        "RFC 1858 section 3",
        "A first fragment without a whole transport header, or one that would overwrite it.",
    )
    FRAGMENT_OF_DROPPED = (
        "fragment-of-dropped",
        "RFC 4787 REQ-14",
        "The first fragment of the datagram was dropped, so the others are too.",
    )
    FRAGMENT_TIMEOUT = (
        "fragment-timeout",
        "RFC 4787 REQ-14",
        "The first fragment, which has the ports, did not come in time.",
    )
    FRAGMENT_OVERFLOW = (
        "fragment-overflow",
        "RFC 4787 REQ-14a",
        "The bounded memory for fragments that wait for their first was full.",
    )
