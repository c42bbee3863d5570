"""Requests about addresses and neighbours; pure functions.

Addresses are text (``192.0.2.1/24``, ``2001:db8::1/64``) or the :mod:`ipaddress` objects.
Sources: ``linux/if_addr.h``, ``linux/neighbour.h``, rtnetlink(7).
"""

from __future__ import annotations

import socket
import struct
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)
from typing import NamedTuple

from testbed.kernel.links import mac_bytes
from testbed.kernel.netlink import NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, Request
from testbed.kernel.netlink_codec import attribute, u32

Address = str | IPv4Address | IPv6Address
Prefix = str | IPv4Interface | IPv6Interface | IPv4Network | IPv6Network

RTM_NEWADDR = 20
RTM_DELADDR = 21
RTM_NEWNEIGH = 28
RTM_DELNEIGH = 29

IFA_ADDRESS = 1
IFA_LOCAL = 2
IFA_BROADCAST = 4
IFA_CACHEINFO = 6
IFA_FLAGS = 8
IFA_F_NODAD = 0x02
IFA_F_NOPREFIXROUTE = 0x200
FOREVER = 0xFFFFFFFF

NDA_DST = 1
NDA_LLADDR = 2
NUD_PERMANENT = 0x80
NTF_PROXY = 0x08

_IFADDR = struct.Struct("=BBBBI")
_CACHEINFO = struct.Struct("=IIII")
_NDMSG = struct.Struct("=BxxxiHBB")


class PackedAddress(NamedTuple):
    """An address in bytes with its family (``AF_INET``, ``AF_INET6``)."""

    family: int
    data: bytes


class PackedPrefix(NamedTuple):
    """An address in bytes with its family and prefix length."""

    family: int
    data: bytes
    length: int


def pack_address(address: Address) -> PackedAddress:
    """An address as the kernel wants it.

    Raises:
        ValueError: the text is not an address.
    """
    if not isinstance(address, str):
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        return PackedAddress(family, address.packed)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        return PackedAddress(family, socket.inet_pton(family, address))
    except OSError:
        raise ValueError(f"{address!r} is not an IP address") from None


def pack_prefix(prefix: Prefix) -> PackedPrefix:
    """An address with prefix length; text without a length is a single host.

    Raises:
        ValueError: the text is not a prefix, or the length does not suit the family.
    """
    if isinstance(prefix, IPv4Network | IPv6Network):
        return PackedPrefix(*pack_address(prefix.network_address), prefix.prefixlen)
    if isinstance(prefix, IPv4Interface | IPv6Interface):
        return PackedPrefix(*pack_address(prefix), prefix.network.prefixlen)
    address, slash, digits = prefix.partition("/")
    packed = pack_address(address)
    bits = len(packed.data) * 8
    if not slash:
        return PackedPrefix(packed.family, packed.data, bits)
    if not digits.isascii() or not digits.isdigit() or int(digits) > bits:
        raise ValueError(f"{prefix!r} has no prefix length between 0 and {bits}")
    return PackedPrefix(packed.family, packed.data, int(digits))


def _address_body(
    link: int, address: Prefix, peer: Address | None, flags: int = 0
) -> tuple[PackedPrefix, bytes]:
    packed = pack_prefix(address)
    body = _IFADDR.pack(packed.family, packed.length, flags & 0xFF, 0, link)
    body += attribute(IFA_LOCAL, packed.data)
    far = packed.data if peer is None else pack_address(peer).data
    return packed, body + attribute(IFA_ADDRESS, far)


def add_address(
    link: int,
    address: Prefix,
    *,
    replace: bool = False,
    nodad: bool = False,
    prefix_route: bool = True,
    peer: Address | None = None,
    broadcast: Address | None = None,
    preferred_s: int | None = None,
    valid_s: int | None = None,
) -> Request:
    """Give the link with this index an address.

    ``nodad`` skips duplicate address detection (RFC 4862), so the address is usable at once.
    ``prefix_route`` False leaves out the on-link route of the prefix.  Lifetimes are in seconds,
    None is for ever.  ``replace`` updates flags and lifetimes of an address that is there.
    """
    flags = (IFA_F_NODAD if nodad else 0) | (0 if prefix_route else IFA_F_NOPREFIXROUTE)
    packed, body = _address_body(link, address, peer, flags)
    if broadcast is not None:
        body += attribute(IFA_BROADCAST, pack_address(broadcast).data)
    if flags:
        body += u32(IFA_FLAGS, flags)
    if preferred_s is not None or valid_s is not None:
        valid = FOREVER if valid_s is None else valid_s
        preferred = valid if preferred_s is None else preferred_s
        body += attribute(IFA_CACHEINFO, _CACHEINFO.pack(preferred, valid, 0, 0))
    needs = "IPv6 in the kernel (CONFIG_IPV6)" if packed.family == socket.AF_INET6 else None
    return Request(
        RTM_NEWADDR,
        NLM_F_CREATE | (NLM_F_REPLACE if replace else NLM_F_EXCL),
        body,
        f"add the address {address} to interface number {link}",
        needs=needs,
    )


def delete_address(link: int, address: Prefix, *, peer: Address | None = None) -> Request:
    """Take an address from the link with this index."""
    _, body = _address_body(link, address, peer)
    return Request(RTM_DELADDR, 0, body, f"delete the address {address} of interface number {link}")


def _neighbour(link: int, address: Address, state: int, flags: int) -> bytes:
    packed = pack_address(address)
    head = _NDMSG.pack(packed.family, link, state, flags, 0)
    return head + attribute(NDA_DST, packed.data)


def add_neighbour(link: int, address: Address, mac: str, *, replace: bool = True) -> Request:
    """A static entry of the ARP or neighbour table."""
    return Request(
        RTM_NEWNEIGH,
        NLM_F_CREATE | (NLM_F_REPLACE if replace else NLM_F_EXCL),
        _neighbour(link, address, NUD_PERMANENT, 0) + attribute(NDA_LLADDR, mac_bytes(mac)),
        f"add the neighbour {address} on interface number {link}",
    )


def add_proxy_neighbour(link: int, address: Address) -> Request:
    """Answer neighbour solicitations (or ARP) for this address on the link (RFC 4861, 7.2.8)."""
    return Request(
        RTM_NEWNEIGH,
        NLM_F_CREATE | NLM_F_REPLACE,
        _neighbour(link, address, NUD_PERMANENT, NTF_PROXY),
        f"add the proxy neighbour {address} on interface number {link}",
    )


def delete_neighbour(link: int, address: Address, *, proxy: bool = False) -> Request:
    """Delete an entry of the neighbour table, or of the proxy table."""
    return Request(
        RTM_DELNEIGH,
        0,
        _neighbour(link, address, 0, NTF_PROXY if proxy else 0),
        f"delete the neighbour {address} on interface number {link}",
    )
