"""Faults: that they say what to do, and to something that is there."""

from __future__ import annotations

import math
from collections.abc import Iterator

from testbed.errors import Problem
from testbed.model.checks.addresses import fault_of_host
from testbed.model.checks.index import Index
from testbed.model.checks.suggest import did_you_mean
from testbed.model.fault import (
    CUT,
    FAULT_KINDS,
    FLUSH_ADDRESSES,
    IMPAIR,
    KILL_SERVICE,
    REBOOT,
    RESTART_SERVICE,
    RESTORE,
    SET_ADDRESSES,
)
from testbed.model.switching import all_services
from testbed.model.topology import Topology, parse_address

_ON_LINK = (CUT, RESTORE, IMPAIR)
_ON_INTERFACE = (*_ON_LINK, FLUSH_ADDRESSES, SET_ADDRESSES)
_ON_SERVICE = (KILL_SERVICE, RESTART_SERVICE)


def check_values(topology: Topology) -> Iterator[Problem]:
    """Unknown kinds, times before the start, and what a kind needs or does not take."""
    for position, fault in enumerate(topology.faults):
        path, place = f"faults[{position}]", fault.place
        if fault.at is not None and not (math.isfinite(fault.at) and fault.at >= 0):
            what = f"the fault {fault.kind!r} of {fault.target!r} cannot be at {fault.at:g} s"
            hint = "seconds count from when the lab is up; leave it out for on demand"
            yield Problem("bad-time", what, f"{path}.at", place, hint)
        if fault.kind not in FAULT_KINDS:
            what = f"{fault.kind!r} is not a kind of fault"
            hint = did_you_mean(fault.kind, FAULT_KINDS, "kinds")
            yield Problem("unknown-fault", what, f"{path}.kind", place, hint)
            continue
        if (fault.kind == IMPAIR) != (fault.impairment is not None):
            verb = "needs an" if fault.kind == IMPAIR else "takes no"
            what = f"the fault {fault.kind!r} of {fault.target!r} {verb} impairment"
            yield Problem("fault-impairment", what, path, place)
        if (fault.kind == SET_ADDRESSES) != bool(fault.addresses):
            verb = "needs" if fault.kind == SET_ADDRESSES else "takes no"
            what = f"the fault {fault.kind!r} of {fault.target!r} {verb} addresses"
            tip = f"to take all away: {FLUSH_ADDRESSES}" if fault.kind == SET_ADDRESSES else None
            yield Problem("fault-addresses", what, path, place, tip)
        for number, text in enumerate(fault.addresses):
            wrong = _wrong_address(text)
            if wrong is not None:
                below = f"{path}.addresses[{number}]"
                yield Problem("bad-address", f"{fault.target}: {wrong}", below, place)


def _wrong_address(text: str) -> str | None:
    try:
        address = parse_address(text)
    except ValueError as error:
        return str(error)
    fault = fault_of_host(address)
    return f"cannot have the address {address}: {fault}" if fault is not None else None


def check_targets(index: Index) -> Iterator[Problem]:
    """Targets that are not there or not of the sort that this kind of fault is for."""
    links = [link.name for link in index.topology.links]
    interfaces = [end.interface.label for end in index.ends]
    services = [f"{node}/{item.name}" for node, item in all_services(index.topology)]
    for position, fault in enumerate(index.topology.faults):
        known: list[str]
        if fault.kind in _ON_LINK:
            known, sort, noun = [*links, *interfaces], "a link or node:interface", "links"
        elif fault.kind in _ON_INTERFACE:
            known, sort, noun = interfaces, "a node:interface", "interfaces"
        elif fault.kind in _ON_SERVICE:
            known, sort, noun = services, "a service (node/service)", "services"
        elif fault.kind == REBOOT:
            known, sort, noun = list(index.nodes), "a node", "nodes"
        else:
            continue  # an unknown kind was reported
        path = f"faults[{position}].target"
        if fault.target not in known:
            if _may_be_there(index, fault.kind, fault.target):
                continue
            what = f"the fault {fault.kind!r} is for {sort}, and {fault.target!r} is none"
            hint = did_you_mean(fault.target, known, noun)
            yield Problem("unknown-target", what, path, fault.place, hint)
        elif fault.kind == SET_ADDRESSES and index.is_switch(fault.target.partition(":")[0]):
            what = f"{fault.target} is a port of a switch and cannot have an address"
            yield Problem("switch-address", what, path, fault.place)


def _may_be_there(index: Index, kind: str, target: str) -> bool:
    """True when a part that could not be read may hold the target."""
    if kind == REBOOT:
        return index.may_have_node(target)
    if kind in _ON_SERVICE:
        return index.may_have_service(target)
    node, colon, _ = target.partition(":")
    of_interface = bool(colon) and index.may_have_interface(node)
    return of_interface or (kind in _ON_LINK and index.gaps.may_name("links", target))
