"""Firewall, NAT and connection tracking.

Sources: ``linux/netfilter/nfnetlink.h``, ``nf_tables.h``, ``nfnetlink_conntrack.h``,
``linux/netfilter_ipv4/ip_tables.h``.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct

from testbed.kernel.netlink import NLM_F_CREATE, NetlinkSocket, Request
from testbed.kernel.netlink_codec import attribute, nested, text
from testbed.kernel.probing.context import Context

_NETLINK_NETFILTER = 12
_BATCH_BEGIN, _BATCH_END = 0x10, 0x11
_SUBSYSTEM_CONNTRACK = 1 << 8
_SUBSYSTEM_NFTABLES = 10 << 8
_NFT_NEWTABLE = _SUBSYSTEM_NFTABLES | 0
_NFT_NEWCHAIN = _SUBSYSTEM_NFTABLES | 3
_NFT_GETGEN = _SUBSYSTEM_NFTABLES | 16
_CT_GET = _SUBSYSTEM_CONNTRACK | 1
_POSTROUTING = 4
_SOURCE_NAT_PRIORITY = 100
_IPT_SO_GET_INFO = 64
_IPT_GETINFO_BYTES = 84


def _nfgen(family: int = 0, resource: int = 0) -> bytes:
    """``struct nfgenmsg``."""
    return struct.pack("!BBH", family, 0, resource)


def _be32(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack("!i", value))


def nf_tables(context: Context) -> str:
    """Ask for the ruleset's generation."""
    del context
    with NetlinkSocket(_NETLINK_NETFILTER) as netfilter:
        netfilter.run(Request(_NFT_GETGEN, 0, _nfgen(), "use nf_tables"))
    return ""


def nft_nat(context: Context) -> str:
    """Make a chain of type nat."""
    del context
    what = "make an nftables chain for NAT"
    hook = nested(4, _be32(1, _POSTROUTING), _be32(2, _SOURCE_NAT_PRIORITY))
    table = text(1, "probe")
    chain = table + text(3, "probe") + hook + text(7, "nat")
    with NetlinkSocket(_NETLINK_NETFILTER) as netfilter:
        netfilter.run(
            Request(_BATCH_BEGIN, 0, _nfgen(resource=10), what),
            Request(_NFT_NEWTABLE, NLM_F_CREATE, _nfgen(socket.AF_INET) + table, what),
            Request(_NFT_NEWCHAIN, NLM_F_CREATE, _nfgen(socket.AF_INET) + chain, what),
            Request(_BATCH_END, 0, _nfgen(resource=10), what),
        )
    return ""


def conntrack(context: Context) -> str:
    """List the connections of the namespace."""
    del context
    with NetlinkSocket(_NETLINK_NETFILTER) as netfilter:
        netfilter.dump(Request(_CT_GET, 0, _nfgen(socket.AF_INET), "list tracked connections"))
    return ""


def iptables_nat(context: Context) -> str:
    """Look at the nat table of the old iptables."""
    del context
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        name = b"nat".ljust(_IPT_GETINFO_BYTES, b"\0")
        _get_option(raw, name)
    return ""


def _get_option(raw: socket.socket, value: bytes) -> None:
    """getsockopt(2) with a value that is read as well as written."""
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(value, len(value))
    size = ctypes.c_uint32(len(value))
    if libc.getsockopt(raw.fileno(), socket.SOL_IP, _IPT_SO_GET_INFO, buffer, ctypes.byref(size)):
        number = ctypes.get_errno()
        raise OSError(number, f"no iptables nat table: {os.strerror(number)}")
