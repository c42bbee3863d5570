"""Which event is meant, and how far another one is from it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from testbed.errors import TestbedError
from testbed.events import Event, Record
from testbed.events.codec import event_types
from testbed.model.checks.suggest import did_you_mean

_PLACES = ("node", "service", "origin")
_ABSENT = object()


@dataclass(frozen=True, slots=True)
class Match:
    """Events of a kind (None: of any) for which ``test`` holds, with these values.

    ``values`` are fields of the record (``node``, ``service``, ``origin``) or of the event.
    """

    kind: str | None
    values: tuple[tuple[str, Any], ...] = ()
    test: Callable[[Record], bool] | None = None

    def __call__(self, record: Record) -> bool:
        return (
            self.kind in (None, record.event.kind)
            and not self.differences(record)
            and (self.test is None or bool(self.test(record)))
        )

    def differences(self, record: Record) -> list[str]:
        """The values that another event of the kind has instead: ``node is 'a', not 'b'``."""
        found = []
        for name, wanted in self.values:
            actual = getattr(record if name in _PLACES else record.event, name, _ABSENT)
            if actual is _ABSENT:
                found.append(f"it has no {name}")
            elif actual != wanted:
                found.append(f"{name} is {actual!r}, not {wanted!r}")
        return found

    def __str__(self) -> str:
        words = [self.kind or "event"]
        words += [f"{name}={value!r}" for name, value in self.values]
        if self.test is not None:
            words.append(f"where {_source(self.test)}")
        return " ".join(words)


Wanted = Match | type[Event] | str | Callable[[Record], bool]
"""What is expected: ``event(...)``, a class or name of events, or any test of a record."""


def event(kind: str | type[Event], /, **values: Any) -> Match:
    """Events of a kind with these values: ``event("drop", node="ce-a", reason="no-mapping")``.

    ``kind`` is the class or its name.  ``node``, ``service`` and ``origin`` are the record's.

    Raises:
        TestbedError: there is no such kind, or it has no such field.
    """
    name = kind if isinstance(kind, str) else kind.kind
    types = event_types()
    if name not in types:
        raise TestbedError(
            f"no kind of event is called {name!r}", hint=did_you_mean(name, list(types), "kinds")
        )
    known = [*_PLACES, *(field.name for field in fields(types[name]))]
    for field in values:
        if field not in known:
            hint = did_you_mean(field, known, "fields")
            raise TestbedError(f"an event {name!r} has no {field!r}", hint=hint)
    return Match(name, tuple(values.items()))


def as_match(wanted: Wanted) -> Match:
    """Any form of what is expected as a :class:`Match`."""
    if isinstance(wanted, Match):
        return wanted
    if isinstance(wanted, str):
        return event(wanted)
    if isinstance(wanted, type):
        if not issubclass(wanted, Event):
            raise TestbedError(f"{wanted.__name__} is no kind of event")
        return event(wanted)
    return Match(None, test=wanted)


def _source(test: Callable[[Record], bool]) -> str:
    """A test as its author knows it: its name, or where the lambda stands."""
    name = getattr(test, "__qualname__", repr(test))
    if "<lambda>" not in name:
        return str(name)
    try:
        return f"the lambda in line {inspect.getsourcelines(test)[1]} holds"
    except OSError:
        return "a lambda holds"
