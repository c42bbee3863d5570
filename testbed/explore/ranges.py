"""What a seed may disturb, and how much: declared by a topology, beside its drawing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from testbed.errors import TestbedError
from testbed.model.discover import load_module
from testbed.model.fault import CUT, KILL_SERVICE, REBOOT
from testbed.model.topology import Topology
from testbed.moments import Duration, as_duration

NAME = "EXPLORE"
"""What the topology's Python file calls its :class:`Ranges`."""

_MICROSECOND = timedelta(microseconds=1)
_LASTING = {CUT: True, KILL_SERVICE: True, REBOOT: False}


class RangeError(TestbedError):
    """A range that makes no sense, or that this topology cannot have."""


def microseconds(value: Duration) -> int:
    """A duration (``"3 ms"``, or seconds) in whole microseconds."""
    return as_duration(value) // _MICROSECOND


@dataclass(frozen=True, slots=True)
class FaultRange:
    """A fault that comes at some time after a scenario begins, and goes after some time.

    ``kind`` is ``cut`` (a link, or ``node:interface``; restored afterwards), ``kill-service``
    (``node/service``; started again afterwards) or ``reboot`` (a node; ``lasts`` says nothing).
    ``at`` and ``lasts`` are the earliest and latest, shortest and longest.
    """

    kind: str
    target: str
    at: tuple[Duration, Duration]
    lasts: tuple[Duration, Duration] = ("1s", "1s")

    def __post_init__(self) -> None:
        if self.kind not in _LASTING:
            raise RangeError(
                f"no fault to explore is called {self.kind!r}", hint=f"one of {', '.join(_LASTING)}"
            )
        for name, (low, high) in (("at", self.at), ("lasts", self.lasts)):
            if as_duration(low) > as_duration(high):
                raise RangeError(f"{name}: {low} is after {high}", where=self.target)


@dataclass(frozen=True, slots=True)
class Ranges:
    """How much a seed may disturb a lab.  Every part can be switched off with 0 or ().

    Args:
        scheduling: the longest time by which the guest's kernel may make one of a few system calls
            longer, so that other threads go first; at most a second.
        delay: the longest extra delay of a link, one way, and the largest jitter of it.
        links: the links that may have it; None: all.
        start: the longest time by which a service may start later than it would.
        services: the services (``node/service``) that may; None: all.
        faults: what else may happen.
    """

    scheduling: Duration = "100us"
    delay: Duration = "1ms"
    links: tuple[str, ...] | None = None
    start: Duration = "50ms"
    services: tuple[str, ...] | None = None
    faults: tuple[FaultRange, ...] = ()

    def check(self, topology: Topology) -> None:
        """Does all that they name exist?

        Raises:
            RangeError: something does not.
        """
        links = {link.name for link in topology.links}
        services = {key for key, _ in services_of(topology)}
        targets = {
            CUT: links | {end.label for link in topology.links for end in link.ends},
            KILL_SERVICE: services,
            REBOOT: {node.name for node in topology.nodes},
        }
        named = [("link", name, links) for name in self.links or ()]
        named += [("service", name, services) for name in self.services or ()]
        named += [(f"target of {one.kind}", one.target, targets[one.kind]) for one in self.faults]
        for what, name, known in named:
            if name not in known:
                raise RangeError(
                    f"this topology has no {what} {name!r}",
                    where=f"{NAME} of {topology.name}",
                    hint=f"there are: {', '.join(sorted(known)) or 'none'}",
                )


def services_of(topology: Topology) -> Iterator[tuple[str, int]]:
    """``node/service`` of every service, and its place among all of the topology's."""
    keys = (f"{node.name}/{service.name}" for node in topology.nodes for service in node.services)
    for number, key in enumerate(keys):
        yield key, number


def ranges_of(topology: Topology, file: Path | None) -> Ranges:
    """Those that the topology's file declares, or the usual ones.

    Raises:
        RangeError: what it declares is no Ranges, or does not fit the topology.
    """
    found: object = Ranges()
    if file is not None and file.suffix == ".py":
        found = getattr(load_module(file), NAME, found)
    if not isinstance(found, Ranges):
        raise RangeError(f"{NAME} is a {type(found).__name__}, not a Ranges", where=str(file))
    found.check(topology)
    return found
