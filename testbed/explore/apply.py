"""Putting a perturbation on a lab: on its topology before it comes up, and as faults when it is up.

What a perturbation names and a topology does not have is passed over: a scenario may bring up a lab
of another topology than the one that was drawn for.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from testbed.explore.perturbation import LateStart, LinkDelay, Perturbation, TimedFault
from testbed.model.fault import CUT, KILL_SERVICE, REBOOT
from testbed.model.impairment import Impairment
from testbed.model.schedule import (
    Entry,
    at,
    cut,
    kill_service,
    reboot,
    restart_service,
    restore,
)
from testbed.model.service import Service
from testbed.model.topology import Interface, Link, Node, Topology

_LATER = 'sleep "$0" && exec "$@"'


def perturbed(topology: Topology, perturbation: Perturbation) -> Topology:
    """The topology with slower links and services that start later."""
    delays = {part.link: part for part in perturbation.parts if isinstance(part, LinkDelay)}
    late = {part.service: part for part in perturbation.parts if isinstance(part, LateStart)}
    return replace(
        topology,
        links=tuple(_slower(link, delays.get(link.name)) for link in topology.links),
        nodes=tuple(_later(node, late) for node in topology.nodes),
    )


def _slower(link: Link, part: LinkDelay | None) -> Link:
    if part is None:
        return link
    ends = tuple(_slower_end(end, part) for end in link.ends)
    return replace(link, ends=ends, impairment=_more(link.impairment or Impairment(), part))


def _slower_end(end: Interface, part: LinkDelay) -> Interface:
    if end.impairment is None:
        return end
    return replace(end, impairment=_more(end.impairment, part))


def _more(impairment: Impairment, part: LinkDelay) -> Impairment:
    return replace(
        impairment,
        delay=impairment.delay + part.delay_us / 1e6,
        jitter=impairment.jitter + part.jitter_us / 1e6,
    )


def _later(node: Node, late: dict[str, LateStart]) -> Node:
    return replace(
        node,
        services=tuple(
            _later_service(service, late.get(f"{node.name}/{service.name}"))
            for service in node.services
        ),
    )


def _later_service(service: Service, part: LateStart | None) -> Service:
    if part is None or part.is_nothing:
        return service
    seconds = part.late_us / 1e6
    return replace(
        service,
        command=("sh", "-c", _LATER, f"{seconds:.6f}", *service.command),
        ready=replace(service.ready, timeout=service.ready.timeout + seconds),
    )


def schedule(topology: Topology, perturbation: Perturbation) -> tuple[Entry, ...]:
    """The faults, from when a scenario begins."""
    entries: list[Entry] = []
    for part in perturbation.parts:
        if isinstance(part, TimedFault) and _has(topology, part):
            entries += _fault(part)
    return tuple(entries)


def _fault(part: TimedFault) -> list[Entry]:
    begin = timedelta(microseconds=part.at_us)
    end = begin + timedelta(microseconds=part.lasts_us)
    if part.fault == CUT:
        return [at(begin, cut(part.target)), at(end, restore(part.target))]
    if part.fault == KILL_SERVICE:
        return [at(begin, kill_service(part.target)), at(end, restart_service(part.target))]
    assert part.fault == REBOOT, part.fault
    return [at(begin, reboot(part.target))]


def _has(topology: Topology, part: TimedFault) -> bool:
    nodes = {node.name: node for node in topology.nodes}
    if part.fault == REBOOT:
        return part.target in nodes
    if part.fault == KILL_SERVICE:
        name, _, service = part.target.partition("/")
        return name in nodes and any(one.name == service for one in nodes[name].services)
    links = {link.name for link in topology.links}
    return part.target in links | {end.label for link in topology.links for end in link.ends}
