"""What became of every IKE_SA and CHILD_SA: the data that drawings, logs and tables are made of.

Times are nanoseconds since the epoch (lab clock), durations seconds, ends are named by their nodes.
None means that no event told it; nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from testbed.events.sa_kinds import EspSpis, Exchange, IkeSpis, Why

Sort = Literal["IKE", "CHILD"]
Spis = IkeSpis | EspSpis


@dataclass(frozen=True, slots=True)
class Rekey:
    """An attempt to rekey an SA; ``failed`` is None while nothing says that it failed."""

    time_ns: int
    by: str | None
    failed: str | None = None


@dataclass(frozen=True, slots=True)
class View:
    """One SA as one end told it; ``spis`` are as that end sees them.

    ``seen_ns`` is the first time that any event named the SA.  ``rekey_s`` and ``life_s`` are that
    end's own plans.
    """

    node: str
    peer: str
    spis: Spis
    seen_ns: int
    born_ns: int | None = None
    born_by: str | None = None
    exchange: Exchange | None = None
    rekey_s: float | None = None
    life_s: float | None = None
    rekeys: tuple[Rekey, ...] = ()
    replaced_ns: int | None = None
    replaced_by: str | None = None
    successor: Spis | None = None
    gone_ns: int | None = None
    gone_by: str | None = None
    why: Why | None = None
    contradictions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sa:
    """One SA, both ends' views brought together.

    It is born when the first end can use it, replaced when the first end uses its successor, and
    gone when the last end that told of its end has let go of it.  ``number`` counts the SAs of its
    sort by birth, from 1; ``predecessor`` and ``successor`` are such numbers.  ``disagreements``
    says in words where the views differ.
    """

    sort: Sort
    number: int
    views: tuple[View, ...]
    seen_ns: int
    born_ns: int | None = None
    born_by: str | None = None
    exchange: Exchange | None = None
    rekeys: tuple[Rekey, ...] = ()
    replaced_ns: int | None = None
    replaced_by: str | None = None
    predecessor: int | None = None
    successor: int | None = None
    gone_ns: int | None = None
    gone_by: str | None = None
    why: Why | None = None
    disagreements: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """``IKE_SA 1``, ``CHILD_SA 3``."""
        return f"{self.sort}_SA {self.number}"

    @property
    def spis(self) -> Spis:
        """The SPIs as the first end sees them."""
        return self.views[0].spis

    def view_of(self, node: str) -> View | None:
        """What this end told of the SA."""
        return next((view for view in self.views if view.node == node), None)

    @property
    def rekey_s(self) -> float | None:
        """From its birth until its successor could be used."""
        return _seconds(self.born_ns, self.replaced_ns)

    @property
    def life_s(self) -> float | None:
        """From its birth until it was gone."""
        return _seconds(self.born_ns, self.gone_ns)

    @property
    def kept_s(self) -> float | None:
        """How long it lived on after it was replaced."""
        return _seconds(self.replaced_ns, self.gone_ns)


def _seconds(start_ns: int | None, end_ns: int | None) -> float | None:
    return None if start_ns is None or end_ns is None else (end_ns - start_ns) / 1e9


@dataclass(frozen=True, slots=True)
class History:
    """All SAs of a record that reaches from ``start_ns`` to ``end_ns``; ``ends`` told of them.

    ``sas`` are in order of birth, IKE_SAs before CHILD_SAs of the same moment.
    """

    start_ns: int
    end_ns: int
    ends: tuple[str, ...]
    sas: tuple[Sa, ...]

    def of_sort(self, sort: Sort) -> tuple[Sa, ...]:
        """The IKE_SAs, or the CHILD_SAs."""
        return tuple(sa for sa in self.sas if sa.sort == sort)

    def disagreements(self) -> Iterator[str]:
        """Everything on which the two ends differ, or one end contradicts itself."""
        for sa in self.sas:
            for text in sa.disagreements:
                yield f"{sa.name}: {text}"
