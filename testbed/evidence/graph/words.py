"""The words a drawing uses for what a link does to packets."""

from __future__ import annotations

from testbed.model.impairment import Impairment
from testbed.model.topology import Link

DEFAULT_MTU = 1500


def rate(bits_per_second: int) -> str:
    """``100 Mbit/s``, ``64 kbit/s``."""
    value = float(bits_per_second)
    for unit in ("bit/s", "kbit/s", "Mbit/s", "Gbit/s"):
        if value < 1000 or unit == "Gbit/s":
            break
        value /= 1000
    return f"{value:.12g} {unit}"


def duration(seconds: float) -> str:
    """``20 ms``, ``1.5 s``, ``50 µs``."""
    if seconds >= 1:
        return f"{seconds:.6g} s"
    if seconds >= 0.001:
        return f"{seconds * 1000:.6g} ms"
    return f"{seconds * 1_000_000:.6g} µs"


def share(fraction: float) -> str:
    """``0.01`` as ``1 %``."""
    return f"{fraction * 100:.6g} %"


def impairment_words(impairment: Impairment | None) -> tuple[str, ...]:
    """One short phrase per property that differs from a perfect link."""
    if impairment is None:
        return ()
    words = []
    if impairment.rate is not None:
        words.append(rate(impairment.rate))
    if impairment.delay or impairment.jitter:
        jitter = f" ± {duration(impairment.jitter)}" if impairment.jitter else ""
        words.append(f"delay {duration(impairment.delay)}{jitter}")
    for name in ("loss", "reorder", "duplicate", "corrupt"):
        fraction: float = getattr(impairment, name)
        if fraction:
            words.append(f"{name} {share(fraction)}")
    if impairment.queue is not None:
        words.append(f"queue {impairment.queue}")
    return tuple(words)


def link_words(link: Link) -> tuple[str, ...]:
    """What to say about a link besides its name: MTU when not 1500, impairment, note."""
    mtu = (f"MTU {link.mtu}",) if link.mtu != DEFAULT_MTU else ()
    return mtu + impairment_words(link.impairment)
