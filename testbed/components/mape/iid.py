"""The two interface-identifier layouts in use for a CE's MAP address.

``rfc7597`` (RFC 7597 section 6)::

    | 16 zero bits | IPv4 address, 32 bits | PSID, 16 bits |

``draft03`` (draft-ietf-softwire-map-03 section 6; what v6plus, BIGLOBE and OCN use)::

    | 8 zero bits | IPv4 address, 32 bits | PSID, 16 bits | 8 zero bits |

In both the PSID is right-aligned in its field; an IPv4 prefix is padded with zeros on the right.
"""

from __future__ import annotations

from enum import StrEnum

from testbed.errors import TestbedError


class IidLayout(StrEnum):
    """How IPv4 address and PSID are laid into the lower half of the MAP address."""

    RFC7597 = "rfc7597"
    DRAFT03 = "draft03"


class IidError(TestbedError):
    """Not the name of an interface-identifier layout."""


def parse_layout(text: str) -> IidLayout:
    """The layout of that name.

    Raises:
        IidError: there is none.
    """
    try:
        return IidLayout(text)
    except ValueError:
        raise IidError(
            f"unknown interface-identifier layout {text!r}",
            hint="use " + " or ".join(layout.value for layout in IidLayout),
        ) from None


def interface_identifier(layout: IidLayout, ipv4: int, psid: int) -> int:
    """The 64 bits of the interface identifier as an integer."""
    if layout is IidLayout.RFC7597:
        return (ipv4 << 16) | psid
    return (ipv4 << 24) | (psid << 8)
