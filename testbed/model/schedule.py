"""Schedules: which faults come when.  Data only; a lab that is up carries them out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from testbed.errors import TestbedError
from testbed.model import fault as kinds
from testbed.model.fault import Fault
from testbed.model.impairment import Impairment
from testbed.moments import Duration, Moment, as_duration, format_duration, parse_duration


class ScheduleError(TestbedError):
    """A schedule that makes no sense, or that a lab could not carry out."""


@dataclass(frozen=True, slots=True)
class At:
    """Faults at one time, in this order.

    ``when`` is a duration after the schedule begins, or a moment of the calendar.
    """

    when: timedelta | Moment
    faults: tuple[Fault, ...]


@dataclass(frozen=True, slots=True)
class Every:
    """Faults again and again: first at ``first`` after the schedule begins, then each ``period``.

    ``times`` is how often; None: for as long as the schedule runs.
    """

    period: timedelta
    faults: tuple[Fault, ...]
    first: timedelta
    times: int | None = None


Entry = At | Every


def at(when: Duration | Moment, *faults: Fault) -> At:
    """Faults at a time: ``at("3h", cut("home"), restore("office"))``.

    ``when`` is a duration (``"3h"``, or seconds) after the schedule begins, or a moment:
    ``"2017-07-16 09:56:52"``, ``"09:57"``, a datetime.

    Raises:
        ScheduleError: there is no fault.
        MomentError: it is no duration.
    """
    _some(faults)
    if isinstance(when, float | int | timedelta):
        return At(as_duration(when), faults)
    if isinstance(when, str):
        try:
            return At(parse_duration(when), faults)
        except TestbedError:
            return At(when, faults)  # a moment, which only the lab's clock can tell
    return At(when, faults)


def every(
    period: Duration, *faults: Fault, first: Duration | None = None, times: int | None = None
) -> Every:
    """Faults again and again: ``every("1h", reboot("ce"), times=24)``.

    Args:
        period: from one time to the next.
        faults: what comes each time, in this order.
        first: the first time, after the schedule begins; one ``period`` by default.
        times: how often; without, until the schedule is cancelled or the lab ends.

    Raises:
        ScheduleError: there is no fault, no time passes in between, or ``times`` is none.
        MomentError: it is no duration.
    """
    _some(faults)
    length = as_duration(period)
    if not length:
        raise ScheduleError(f"every {format_duration(length)}: no time passes from one to the next")
    if times is not None and times < 1:
        raise ScheduleError(f"{times} times is never", hint="leave the entry out")
    return Every(length, faults, length if first is None else as_duration(first), times)


def cut(target: str, interface: str | None = None) -> Fault:
    """Unplug a link; with two names, or ``node:interface``, one interface."""
    return Fault(kinds.CUT, _port(target, interface))


def restore(target: str, interface: str | None = None) -> Fault:
    """Plug it in again; addresses and routes come back as planned."""
    return Fault(kinds.RESTORE, _port(target, interface))


def impair(target: str, impairment: Impairment) -> Fault:
    """Make a link, or one ``node:interface``, as bad as told; ``Impairment()`` mends it."""
    return Fault(kinds.IMPAIR, target, impairment=impairment)


def flush_addresses(node: str, interface: str | None = None) -> Fault:
    """Take all addresses but the link-local ones from an interface."""
    return Fault(kinds.FLUSH_ADDRESSES, _port(node, interface))


def set_addresses(target: str, *addresses: str) -> Fault:
    """Give ``node:interface`` these addresses instead of those it has."""
    return Fault(kinds.SET_ADDRESSES, target, addresses=addresses)


def kill_service(node: str, service: str | None = None) -> Fault:
    """``kill -9`` a service, named by node and service or as ``node/service``."""
    return Fault(kinds.KILL_SERVICE, _service(node, service))


def restart_service(node: str, service: str | None = None) -> Fault:
    """Stop a service in its own way and start it again."""
    return Fault(kinds.RESTART_SERVICE, _service(node, service))


def reboot(node: str) -> Fault:
    """End a node's services, forget its state, start them again."""
    return Fault(kinds.REBOOT, node)


def _some(faults: tuple[Fault, ...]) -> None:
    if not faults:
        raise ScheduleError("an entry without a fault", hint='for example at("3h", cut("home"))')


def _port(target: str, interface: str | None) -> str:
    return target if interface is None else f"{target}:{interface}"


def _service(node: str, service: str | None) -> str:
    return node if service is None else f"{node}/{service}"
