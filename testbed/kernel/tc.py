"""Requests about queueing disciplines: netem, TBF, HTB, and the hooks ingress and clsact.

Pure functions.  Rates are bit/s, times seconds, probabilities fractions 0..1, sizes bytes.
Sources: ``linux/pkt_sched.h``, tc-netem(8), tc-tbf(8), tc-htb(8), and the kernel's ``net/sched``.
"""

from __future__ import annotations

import struct

from testbed.kernel.netlink import NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, Request
from testbed.kernel.netlink_codec import attribute, nested, text, u32

RTM_NEWQDISC = 36
RTM_DELQDISC = 37
RTM_NEWTCLASS = 40

ROOT = 0xFFFFFFFF
INGRESS = 0xFFFFFFF1

_TCA_KIND = 1
_TCA_OPTIONS = 2
_TCA_NETEM_CORR = 1
_TCA_NETEM_REORDER = 3
_TCA_NETEM_CORRUPT = 4
_TCA_NETEM_RATE = 6
_TCA_NETEM_RATE64 = 8
_TCA_NETEM_LATENCY64 = 10
_TCA_NETEM_JITTER64 = 11
_TCA_TBF_PARMS = 1
_TCA_TBF_RATE64 = 4
_TCA_TBF_BURST = 6
_TCA_HTB_PARMS = 1
_TCA_HTB_INIT = 2
_TCA_HTB_RATE64 = 6
_TCA_HTB_CEIL64 = 7
_LINKLAYER_ETHERNET = 1
_HTB_VERSION = 3
_HTB_RATE_TO_QUANTUM = 10
_U32_MAX = 0xFFFFFFFF
_TICK_NS = 64
LARGEST_FRAME = 1514  # what an MTU of 1500 makes on Ethernet

_TCMSG = struct.Struct("=BxxxiIII")
_NETEM = struct.Struct("=IIIIII")
_RATESPEC = struct.Struct("=BBHhHI")

_NEEDS = {
    "netem": "netem, the delay and loss queue: CONFIG_NET_SCH_NETEM (module sch_netem; Debian's "
    "and most distributions' kernels have it), or run the lab in a guest kernel",
    "tbf": "CONFIG_NET_SCH_TBF (module sch_tbf)",
    "htb": "CONFIG_NET_SCH_HTB (module sch_htb)",
    "ingress": "CONFIG_NET_SCH_INGRESS (module sch_ingress)",
    "clsact": "CONFIG_NET_SCH_INGRESS (module sch_ingress)",
}


def handle(major: int, minor: int = 0) -> int:
    """``major:minor`` as the kernel's 32-bit number."""
    return major << 16 | minor


def _ticks(nanoseconds: int) -> int:
    """A time in the packet scheduler's old unit, as large as its field allows."""
    return min(nanoseconds // _TICK_NS, _U32_MAX)


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1_000_000_000)


def _probability(fraction: float) -> int:
    if not 0 <= fraction <= 1:
        raise ValueError(f"{fraction} is not a probability between 0 and 1")
    return round(fraction * _U32_MAX)


def _bytes_per_second(rate: int) -> int:
    if rate < 8:
        raise ValueError(f"a rate of {rate} bit/s is too low")
    return rate // 8


def _qdisc(
    kind: str, link: int, options: bytes, *, parent: int, number: int, replace: bool, what: str
) -> Request:
    body = _TCMSG.pack(0, link, number, parent, 0) + text(_TCA_KIND, kind)
    if options:
        body += attribute(_TCA_OPTIONS, options)
    return Request(
        RTM_NEWQDISC,
        NLM_F_CREATE | (NLM_F_REPLACE if replace else NLM_F_EXCL),
        body,
        f"put {what} on interface number {link}",
        needs=_NEEDS[kind],
    )


def netem(
    link: int,
    *,
    delay: float = 0.0,
    jitter: float = 0.0,
    loss: float = 0.0,
    duplicate: float = 0.0,
    reorder: float = 0.0,
    corrupt: float = 0.0,
    rate: int | None = None,
    limit: int = 1000,
    delay_correlation: float = 0.0,
    loss_correlation: float = 0.0,
    duplicate_correlation: float = 0.0,
    reorder_correlation: float = 0.0,
    corrupt_correlation: float = 0.0,
    parent: int = ROOT,
    number: int = 0,
    replace: bool = False,
) -> Request:
    """Delay, lose, repeat, reorder, corrupt or slow down what leaves the link with this index.

    ``delay`` plus or minus ``jitter`` (even distribution) holds each packet back; jitter alone
    reorders packets.  ``reorder`` is the share of packets sent at once instead of after the delay.
    ``limit`` is the queue's length in packets, delayed ones included.

    Raises:
        ValueError: a value out of range, or reordering or jitter without delay.
    """
    if reorder and not delay:
        raise ValueError("reordering needs a delay: packets overtake those held back")
    if jitter > delay:
        raise ValueError(f"a jitter of {jitter} s is longer than the delay of {delay} s")
    delay_ns, jitter_ns = _nanoseconds(delay), _nanoseconds(jitter)
    options = _NETEM.pack(
        _ticks(delay_ns),
        limit,
        _probability(loss),
        1 if reorder else 0,
        _probability(duplicate),
        _ticks(jitter_ns),
    )
    options += attribute(_TCA_NETEM_LATENCY64, struct.pack("=q", delay_ns))
    options += attribute(_TCA_NETEM_JITTER64, struct.pack("=q", jitter_ns))
    correlations = (delay_correlation, loss_correlation, duplicate_correlation)
    if any(correlations):
        packed = struct.pack("=III", *(_probability(value) for value in correlations))
        options += attribute(_TCA_NETEM_CORR, packed)
    if reorder:
        options += _pair(_TCA_NETEM_REORDER, reorder, reorder_correlation)
    if corrupt:
        options += _pair(_TCA_NETEM_CORRUPT, corrupt, corrupt_correlation)
    if rate is not None:
        speed = _bytes_per_second(rate)
        if speed > _U32_MAX:
            options += attribute(_TCA_NETEM_RATE64, struct.pack("=Q", speed))
        narrow = struct.pack("=IiIi", min(speed, _U32_MAX), 0, 0, 0)
        options += attribute(_TCA_NETEM_RATE, narrow)
    return _qdisc(
        "netem", link, options, parent=parent, number=number, replace=replace, what="netem"
    )


def _pair(kind: int, probability: float, correlation: float) -> bytes:
    packed = struct.pack("=II", _probability(probability), _probability(correlation))
    return attribute(kind, packed)


def _ratespec(speed: int) -> bytes:
    """``struct tc_ratespec``; told the link layer, the kernel wants no rate table with it."""
    return _RATESPEC.pack(0, _LINKLAYER_ETHERNET, 0, -1, 0, min(speed, _U32_MAX))


def burst_for(rate: int) -> int:
    """A bucket, in bytes, that keeps a shaper of ``rate`` bit/s busy on a slow timer: 4 ms of data,
    and room for at least two full frames."""
    return max(_bytes_per_second(rate) // 250, 2 * LARGEST_FRAME)


def tbf(
    link: int,
    *,
    rate: int,
    burst: int | None = None,
    limit: int | None = None,
    parent: int = ROOT,
    number: int = 0,
    replace: bool = False,
) -> Request:
    """A token bucket: ``rate`` bit/s, ``burst`` bytes at once, at most ``limit`` bytes waiting.

    Frames longer than the bucket are never sent, so ``burst`` must hold at least one.  Defaults:
    ``burst`` as :func:`burst_for`, ``limit`` the bucket and 50 ms of data.

    Raises:
        ValueError: the rate is below 8 bit/s, or the bucket does not fit the kernel's clock.
    """
    speed = _bytes_per_second(rate)
    bucket = burst_for(rate) if burst is None else burst
    waiting = bucket + speed // 20 if limit is None else limit
    fill = _fill_ticks(bucket, speed)
    options = attribute(
        _TCA_TBF_PARMS,
        _ratespec(speed) + bytes(_RATESPEC.size) + struct.pack("=III", waiting, fill, 0),
    )
    options += u32(_TCA_TBF_BURST, bucket)
    if speed > _U32_MAX:
        options += attribute(_TCA_TBF_RATE64, struct.pack("=Q", speed))
    return _qdisc(
        "tbf",
        link,
        options,
        parent=parent,
        number=number,
        replace=replace,
        what=f"a token bucket of {rate} bit/s",
    )


def _fill_ticks(bucket: int, speed: int) -> int:
    """How long the bucket takes to fill."""
    ticks = bucket * 1_000_000_000 // speed // _TICK_NS
    if ticks > _U32_MAX:
        raise ValueError(f"a burst of {bucket} bytes is too large for {speed * 8} bit/s")
    return ticks


def htb(
    link: int,
    *,
    number: int = 0x10000,
    default_class: int = 0,
    parent: int = ROOT,
    replace: bool = False,
) -> Request:
    """The root of a hierarchical token bucket; packets of no class use ``default_class`` (minor
    number), or pass unshaped when it is 0."""
    head = struct.pack("=IIIII", _HTB_VERSION, _HTB_RATE_TO_QUANTUM, default_class, 0, 0)
    options = attribute(_TCA_HTB_INIT, head)
    return _qdisc("htb", link, options, parent=parent, number=number, replace=replace, what="HTB")


def htb_class(
    link: int,
    *,
    number: int,
    parent: int,
    rate: int,
    ceiling: int | None = None,
    burst: int | None = None,
    ceiling_burst: int | None = None,
    priority: int = 0,
    replace: bool = False,
) -> Request:
    """A class ``number`` under ``parent``: ``rate`` bit/s for sure, up to ``ceiling`` if free."""
    speed = _bytes_per_second(rate)
    top_rate = rate if ceiling is None else ceiling
    top = _bytes_per_second(top_rate)
    bucket = burst_for(rate) if burst is None else burst
    top_bucket = burst_for(top_rate) if ceiling_burst is None else ceiling_burst
    quantum = min(max(speed // _HTB_RATE_TO_QUANTUM, LARGEST_FRAME), 200_000)
    options = b""
    if speed > _U32_MAX:
        options += attribute(_TCA_HTB_RATE64, struct.pack("=Q", speed))
    if top > _U32_MAX:
        options += attribute(_TCA_HTB_CEIL64, struct.pack("=Q", top))
    options += attribute(
        _TCA_HTB_PARMS,
        _ratespec(speed)
        + _ratespec(top)
        + struct.pack(
            "=IIIII",
            _fill_ticks(bucket, speed),
            _fill_ticks(top_bucket, top),
            quantum,
            0,
            priority,
        ),
    )
    body = _TCMSG.pack(0, link, number, parent, 0) + text(_TCA_KIND, "htb")
    return Request(
        RTM_NEWTCLASS,
        NLM_F_CREATE | (NLM_F_REPLACE if replace else NLM_F_EXCL),
        body + nested(_TCA_OPTIONS, options),
        f"add an HTB class of {rate} bit/s to interface number {link}",
        needs=_NEEDS["htb"],
    )


def ingress(link: int) -> Request:
    """The hook for filters on what the link receives."""
    return _qdisc(
        "ingress",
        link,
        b"",
        parent=INGRESS,
        number=handle(0xFFFF),
        replace=False,
        what="the ingress hook",
    )


def clsact(link: int) -> Request:
    """The hooks for filters on what the link receives and sends."""
    return _qdisc(
        "clsact",
        link,
        b"",
        parent=INGRESS,
        number=handle(0xFFFF),
        replace=False,
        what="the clsact hooks",
    )


def delete_qdisc(link: int, *, parent: int = ROOT, number: int = 0) -> Request:
    """Take the queueing discipline at ``parent`` from the link; the kernel's default returns."""
    return Request(
        RTM_DELQDISC,
        0,
        _TCMSG.pack(0, link, number, parent, 0),
        f"take the queueing discipline from interface number {link}",
    )
