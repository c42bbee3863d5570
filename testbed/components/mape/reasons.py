"""Why a CE or BR drops a packet: stable names, what each means, and the RFC clause behind it.

The value of a member is the ``reason`` of the :class:`~testbed.events.Drop` event.  Members are
only ever added: reports and tests rely on the names.
"""

from __future__ import annotations

from enum import Enum


class Reason(Enum):
    """A reason for dropping a packet.

    ``value`` is the stable name, ``meaning`` one sentence for a reader, ``clause`` the document
    and section that ask for (or explain) the drop.
    """

    meaning: str
    clause: str

    def __new__(cls, name: str, meaning: str, clause: str) -> Reason:
        """Make ``name`` alone the value; the rest are attributes."""
        member = object.__new__(cls)
        member._value_ = name
        member.meaning = meaning
        member.clause = clause
        return member

    # Packets that are not what they should be.
    MALFORMED = (
        "malformed",
        "the bytes are not a well-formed packet",
        "RFC 791 section 3.1, RFC 8200 section 3",
    )
    INTERNAL_ERROR = (
        "internal-error",
        "our own code failed on this packet; it is a bug, and the daemon carried on",
        "none",
    )
    NOT_SENT = (
        "not-sent",
        "the kernel did not take the packet that was to be sent",
        "none",
    )
    NOT_FOR_US = (
        "not-for-us",
        "the destination is no address this component serves",
        "RFC 2473 section 3.3",
    )
    UNKNOWN_TUNNEL_PROTOCOL = (
        "unknown-tunnel-protocol",
        "the tunnel carries IPv4 (protocol 4) and ICMPv6 only",
        "RFC 2473 section 3.3",
    )
    CONGESTION_LOST = (
        "congestion-lost",
        "the tunnel marked congestion on a packet whose sender cannot understand the mark",
        "RFC 6040 section 4.2",
    )

    # Which CE a packet is for.
    NO_RULE = (
        "no-rule",
        "no mapping rule covers the IPv4 destination address",
        "RFC 7597 section 5.3",
    )
    PORT_UNASSIGNED = (
        "port-unassigned",
        "the destination port (or ICMP identifier) belongs to no CE: it is below the PSID offset "
        "or its PSID is not provisioned",
        "RFC 7597 section 5.1",
    )
    PROTOCOL_WITHOUT_PORTS = (
        "protocol-without-ports",
        "the IPv4 address is shared and the protocol has no port by which to choose the CE",
        "RFC 7597 section 5.1",
    )
    QUOTE_WITHOUT_PORTS = (
        "quote-without-ports",
        "an ICMP error about a shared address quotes a packet without ports (a later fragment, "
        "or a protocol that has none)",
        "RFC 7597 section 8.2",
    )
    QUOTE_MISMATCH = (
        "quote-mismatch",
        "an ICMP error quotes a packet that its receiver cannot have sent",
        "RFC 5508 section 4.2",
    )

    # Whether the sender of a tunnelled packet is who it says (anti-spoofing).
    SOURCE_OUTSIDE_DOMAIN = (
        "source-outside-domain",
        "no mapping rule covers the outer IPv6 source: it is no CE of this domain",
        "RFC 7597 section 8.1",
    )
    SOURCE_ADDRESS_MISMATCH = (
        "source-address-mismatch",
        "the inner IPv4 source is not the address of the CE at the outer IPv6 source",
        "RFC 7597 section 8.1",
    )
    SOURCE_PORT_MISMATCH = (
        "source-port-mismatch",
        "the inner source port (or ICMP identifier) is outside the port set of the CE at the "
        "outer IPv6 source",
        "RFC 7597 section 8.1",
    )
    SOURCE_IID_MISMATCH = (
        "source-iid-mismatch",
        "the outer IPv6 source has the right prefix but is not the CE's MAP address",
        "RFC 7597 section 6",
    )
    INVALID_SOURCE = (
        "invalid-source",
        "the IPv4 source is no unicast address of a host",
        "RFC 1812 section 5.3.7",
    )

    INVALID_DESTINATION = (
        "invalid-destination",
        "the inner IPv4 destination is no address that a router forwards to (network 0 or 127, "
        "multicast, class E, broadcast)",
        "RFC 1812 section 5.3.7",
    )
    SOURCE_ROUTE = (
        "source-route",
        "the inner packet asks for a source route (loose or strict), which no router of today "
        "follows",
        "RFC 7126 sections 4.3 and 4.4",
    )
    TTL_UNANSWERABLE = (
        "ttl-unanswerable",
        "the inner packet has no hop left, and no ICMP error may be sent about it (it is an ICMP "
        "error itself, or a later fragment)",
        "RFC 1812 sections 5.3.1 and 4.3.2.7",
    )

    INSIDE_SOURCE_FOREIGN = (
        "inside-source-foreign",
        "a packet from the inside whose source is no address of the home (ingress filtering)",
        "RFC 2827 (BCP 38), RFC 7597 section 11",
    )

    # Size and fragments.
    TOO_BIG = (
        "too-big",
        "the packet exceeds the tunnel MTU and may not be fragmented (DF)",
        "RFC 2473 section 7.2",
    )
    FRAGMENT_TIMEOUT = (
        "fragment-timeout",
        "the other fragments of the datagram did not come in time",
        "RFC 7597 section 8.3.2, RFC 8200 section 4.5",
    )
    FRAGMENT_OVERFLOW = (
        "fragment-overflow",
        "the bounded memory for fragments was full",
        "RFC 7597 section 8.3.2",
    )
    FRAGMENT_OVERLAP = (
        "fragment-overlap",
        "fragments of the datagram overlap (or one came twice)",
        "RFC 5722 section 4",
    )
    FRAGMENT_OF_DROPPED = (
        "fragment-of-dropped",
        "the first fragment of the datagram was dropped, so the rest is too",
        "RFC 7597 section 8.3.2",
    )

    # ICMPv6 errors about our own tunnel packets.
    ICMPV6_IGNORED = (
        "icmpv6-ignored",
        "an ICMPv6 message that asks nothing of a tunnel end, or tells it nothing new",
        "RFC 2473 section 8, RFC 4443 section 2.4",
    )
    ICMPV6_UNRELATED = (
        "icmpv6-unrelated",
        "an ICMPv6 error that quotes no packet this component can have sent",
        "RFC 2473 section 8.1, RFC 4443 section 5.2",
    )
    ICMPV6_UNREPORTABLE = (
        "icmpv6-unreportable",
        "an ICMPv6 error about a packet whose IPv4 sender may not be sent an ICMP error, be it for "
        "what the packet is or because enough errors were sent (the detail says so)",
        "RFC 2473 section 8.2, RFC 1812 sections 4.3.2.7 and 4.3.2.8",
    )
