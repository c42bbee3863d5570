"""Impairments of links, of single ends, and of faults."""

from __future__ import annotations

import math
from collections.abc import Iterator

from testbed.errors import Place, Problem
from testbed.model.impairment import Impairment
from testbed.model.topology import Topology

_TIMES = ("delay", "jitter")
_FRACTIONS = ("loss", "reorder", "duplicate", "corrupt")


def check_impairments(topology: Topology) -> Iterator[Problem]:
    """Values no link can have, and those that mean nothing without another."""
    for link in topology.links:
        path = f"links.{link.name}"
        yield from _check(link.impairment, f"link {link.name!r}", f"{path}.impairment", link.place)
        for position, end in enumerate(link.ends):
            below = f"{path}.ends[{position}].impairment"
            yield from _check(end.impairment, end.label, below, end.place or link.place)
    for position, fault in enumerate(topology.faults):
        name = f"the fault {fault.kind!r} of {fault.target!r}"
        yield from _check(fault.impairment, name, f"faults[{position}].impairment", fault.place)


def _check(
    impairment: Impairment | None, name: str, path: str, place: Place | None
) -> Iterator[Problem]:
    if impairment is None:
        return
    for key in _TIMES:
        value = getattr(impairment, key)
        if not (math.isfinite(value) and value >= 0):
            what = f"the {key} of {name} cannot be {value:g} s"
            yield Problem("bad-impairment", what, f"{path}.{key}", place, "take 0 or more seconds")
    for key in _FRACTIONS:
        value = getattr(impairment, key)
        if not 0 <= value <= 1:
            what = f"{key} of {name} is {value:g}, and a fraction is 0 to 1"
            hint = f'for {value:g} percent write "{value:g}%" or {value / 100:g}'
            wanted = hint if 1 < value <= 100 else None
            yield Problem("bad-impairment", what, f"{path}.{key}", place, wanted)
    if impairment.rate is not None and impairment.rate <= 0:
        what = f"the rate of {name} cannot be {impairment.rate} bit/s"
        hint = "a link that carries nothing is a fault: cut"
        yield Problem("bad-impairment", what, f"{path}.rate", place, hint)
    if impairment.queue is not None and impairment.queue <= 0:
        what = f"the queue of {name} cannot hold {impairment.queue} packets"
        yield Problem("bad-impairment", what, f"{path}.queue", place, "take 1 or more")
    for key in ("jitter", "reorder"):
        if getattr(impairment, key) > 0 and impairment.delay == 0:
            what = f"{name} has {key} without delay, which changes nothing"
            yield Problem("impairment-without-delay", what, f"{path}.{key}", place, "add a delay")
