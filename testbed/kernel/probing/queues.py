"""Queueing disciplines: each is put on the loopback once."""

from __future__ import annotations

import errno

from testbed.kernel import tc
from testbed.kernel.netlink import Request
from testbed.kernel.probing.context import Context

_LOOPBACK = 1


def _try(context: Context, request: Request, parent: int = tc.ROOT) -> str:
    context.kernel.run(request)
    context.kernel.run(tc.delete_qdisc(_LOOPBACK, parent=parent).ignoring(errno.ENOENT))
    return ""


def netem(context: Context) -> str:
    """A delay of a millisecond."""
    return _try(context, tc.netem(_LOOPBACK, delay=0.001))


def tbf(context: Context) -> str:
    """A token bucket of 1 Mbit/s."""
    return _try(context, tc.tbf(_LOOPBACK, rate=1_000_000))


def htb(context: Context) -> str:
    """A hierarchy without classes."""
    return _try(context, tc.htb(_LOOPBACK))


def clsact(context: Context) -> str:
    """The hooks that filters and eBPF programs hang on."""
    return _try(context, tc.clsact(_LOOPBACK), tc.INGRESS)
