"""The history of SAs as a YAMAHA RTX would log it, so that its log and ours lie side by side.

The form, as in the three logs of seed 004, for a CHILD_SA of our own::

    2025/01/01 00:00:00: [IKE2] SA:2/CHLD_SEND temporarily assigned
    2025/01/01 00:00:00: [IKE2] SA:3/CHLD_RECV temporarily assigned
    2025/01/01 00:00:00: [IKE2] SA:2/CHLD_SEND established
    2025/01/01 00:00:00: [IKE2] SA:3/CHLD_RECV established

* ``SA:<n>``: the router's own number of the SA, not an SPI.  An IKE_SA has one, a CHILD_SA two: one
  of the SA it sends in, one of the SA it receives in.  Numbers are used again once they are free.
* ``temporarily assigned``: a number was taken for an SA about to be made; ``established``: it can
  be used; ``deleted``: it is gone and its numbers are free.  Sending comes before receiving.
* ``IP Tunnel[<n>] Up``: the tunnel got its first CHILD_SA.  What the router writes when a tunnel
  goes down is not in our sources, so nothing is written then.

That a number is *the lowest free* one is our reading.  The logs show that numbers are reused and
low, but also gaps (5 and 7, 10, 15) which lines left out of the published logs may or may not
explain.  Compare lines without their numbers, or give the numbers (``numbers``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from testbed.evidence.sa.history import History, Sa, Sort, View

Numbers = Mapping[tuple[Sort, int], tuple[int, ...]]
"""Of each SA (its sort and number in the history) its numbers: one, or sending and receiving."""

_ASSIGNED, _ESTABLISHED, _DELETED = range(3)
_HALVES: Mapping[Sort, tuple[str, ...]] = {"IKE": ("IKE",), "CHILD": ("CHLD_SEND", "CHLD_RECV")}
_EXCHANGE_NS = 60 * 10**9
"""A rekey that took longer than this to come to an SA did not begin with the first request."""


@dataclass(frozen=True, slots=True)
class _Moment:
    """Something the router logs; sorting puts what happens together into the router's order."""

    time_ns: int
    what: int
    sa: Sa

    @property
    def order(self) -> tuple[int, bool, bool, int, int]:
        deleting = self.what == _DELETED
        return self.time_ns, deleting, self.sa.sort == "CHILD", self.sa.number, self.what


def rtx_log(
    history: History, end: str, *, tunnel: int = 1, numbers: Numbers | None = None
) -> tuple[str, ...]:
    """The lines that the router ``end`` would have logged of this history, times in UTC.

    Only what this end told of is in it.  ``tunnel`` is the number of its tunnel interface;
    ``numbers`` the numbers of the SAs, otherwise :func:`lowest_free`.
    """
    known = lowest_free(history, end) if numbers is None else numbers
    return tuple(_lines(history, end, tunnel, known))


def _lines(history: History, end: str, tunnel: int, numbers: Numbers) -> Iterator[str]:
    words = {_ASSIGNED: "temporarily assigned", _ESTABLISHED: "established", _DELETED: "deleted"}
    is_up = False
    for moment in _moments(history, end):
        sa, stamp = moment.sa, _stamp(moment.time_ns)
        for half, number in zip(_HALVES[sa.sort], numbers[sa.sort, sa.number], strict=True):
            yield f"{stamp}: [IKE2] SA:{number}/{half} {words[moment.what]}"
        if (sa.sort, moment.what) == ("CHILD", _ESTABLISHED) and not is_up:
            is_up = True
            yield f"{stamp}: IP Tunnel[{tunnel}] Up"


def lowest_free(history: History, end: str) -> Numbers:
    """Numbers for the SAs that this end told of: always the lowest that no living SA has."""
    taken: dict[int, tuple[Sort, int]] = {}
    numbers: dict[tuple[Sort, int], tuple[int, ...]] = {}
    for moment in _moments(history, end):
        key = (moment.sa.sort, moment.sa.number)
        if key not in numbers:
            numbers[key] = _lowest(taken, len(_HALVES[key[0]]))
            taken |= dict.fromkeys(numbers[key], key)
        if moment.what == _DELETED:
            for number in numbers[key]:
                del taken[number]
    return numbers


def _lowest(taken: Mapping[int, object], count: int) -> tuple[int, ...]:
    """The lowest numbers above 0 that are free."""
    free = (number for number in range(1, len(taken) + count + 1) if number not in taken)
    return tuple(number for number, _ in zip(free, range(count), strict=False))


def _moments(history: History, end: str) -> list[_Moment]:
    moments: list[_Moment] = []
    for sa in history.sas:
        view = sa.view_of(end)
        if view is None:
            continue
        if view.born_ns is not None:
            moments.append(_Moment(_assigned_ns(history, sa, view, end), _ASSIGNED, sa))
            moments.append(_Moment(view.born_ns, _ESTABLISHED, sa))
        if view.gone_ns is not None:
            moments.append(_Moment(view.gone_ns, _DELETED, sa))
    return sorted(moments, key=lambda moment: moment.order)


def _assigned_ns(history: History, sa: Sa, view: View, end: str) -> int:
    """When the exchange that made the SA began: its predecessor's last rekey, if told."""
    assert view.born_ns is not None
    old = next((one for one in history.of_sort(sa.sort) if one.number == sa.predecessor), None)
    before = None if old is None else old.view_of(end)
    begun = [
        one.time_ns
        for one in (before.rekeys if before is not None else ())
        if one.failed is None and 0 <= view.born_ns - one.time_ns <= _EXCHANGE_NS
    ]
    return max(begun, default=view.born_ns)


def _stamp(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns // 10**9, UTC).strftime("%Y/%m/%d %H:%M:%S")
