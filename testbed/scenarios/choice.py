"""Which backends, kernel and clock a person asks for, and the machine that follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from testbed.errors import TestbedError
from testbed.guest.machine import START, Machine, VirtualClock
from testbed.model.checks.suggest import did_you_mean
from testbed.model.topology import BACKENDS, NETNS
from testbed.moments import parse_moment

AUTO = "auto"
HOST = "host"
GUEST = "guest"
KERNELS = (AUTO, HOST, GUEST)
REAL = "real"
VIRTUAL = "virtual"
CLOCKS = (AUTO, REAL, VIRTUAL)

USUAL_SEED = 1
"""Of the randomness of guests with a virtual clock: without any choice, such runs repeat."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What the command line says about backends, kernel and clock.

    ``kernel`` ``auto`` takes the host's where that has all that a scenario needs, and a guest
    otherwise; ``clock`` ``auto`` is virtual for the scenarios that need it.  ``seed`` and ``start``
    (of virtual time) are for guests; ``jobs`` is how many guests run at a time.  Every scenario
    runs on each of the ``backends``.
    """

    kernel: str = AUTO
    clock: str = AUTO
    seed: int | None = None
    start: datetime | None = None
    jobs: int | None = None
    backends: tuple[str, ...] = (NETNS,)

    @classmethod
    def of(
        cls,
        kernel: str = AUTO,
        clock: str = AUTO,
        *,
        seed: int | None = None,
        start: str | None = None,
        jobs: int | None = None,
        backend: str = NETNS,
        keep: bool = False,
    ) -> Choice:
        """From the words of a command line.

        Raises:
            TestbedError: an unknown word, or two that contradict each other.
        """
        for what, word, words in (("kernel", kernel, KERNELS), ("clock", clock, CLOCKS)):
            if word not in words:
                hint = did_you_mean(word, list(words), f"{what}s")
                raise TestbedError(f"no {what} is called {word!r}", where=f"--{what}", hint=hint)
        begins = None if start is None else parse_start(start)
        choice = cls(kernel, clock, seed, begins, jobs, parse_backends(backend))
        choice._check(keep)
        choice.machine(VIRTUAL)  # refuses a seed or a start that cannot be
        return choice

    def _check(self, keep: bool) -> None:
        asked = self.guest_because
        if self.kernel == HOST and asked is not None:
            raise TestbedError(
                f"{asked} needs the guest kernel: the host's time and randomness are its own",
                where="--kernel host",
                hint="--kernel guest",
            )
        if self.start is not None and self.clock == REAL:
            raise TestbedError(
                "only a virtual clock begins where it is told to", hint="leave out --clock real"
            )
        if keep and (self.kernel == GUEST or asked is not None):
            raise TestbedError(
                "a lab in a guest ends with it, so it cannot be kept",
                where="--keep",
                hint="leave out --keep, or use the host's kernel",
            )

    @property
    def guest_because(self) -> str | None:
        """The option, if any, that only a guest can fulfil."""
        if self.clock == VIRTUAL:
            return "--clock virtual"
        if self.start is not None:
            return "--start"
        return None if self.seed is None else "--seed"

    @property
    def needs_guest(self) -> bool:
        """Is there no run without a guest?"""
        return self.kernel == GUEST or self.guest_because is not None

    def machine(self, clock: str) -> Machine:
        """The guest with this clock (real or virtual)."""
        if clock == REAL:
            return Machine(seed=self.seed)
        seed = USUAL_SEED if self.seed is None else self.seed
        return Machine(clock=VirtualClock(self.start or START), seed=seed)


def parse_backends(text: str) -> tuple[str, ...]:
    """One backend, several with commas between, or ``all``.

    Raises:
        TestbedError: one of them is none.
    """
    if text == "all":
        return BACKENDS
    names = tuple(dict.fromkeys(word.strip() for word in text.split(",")))
    for name in names:
        if name not in BACKENDS:
            hint = did_you_mean(name, [*BACKENDS, "all"], "backends")
            raise TestbedError(f"no backend is called {name!r}", where="--backend", hint=hint)
    return names


def parse_start(text: str) -> datetime:
    """When virtual time begins: a day, or a day and a time (UTC unless it says otherwise).

    Raises:
        TestbedError: it is no moment.
    """
    try:
        return parse_moment(text, START)
    except TestbedError as error:
        raise TestbedError(
            error.what,
            where="--start",
            hint='write it like "2017-07-16 09:56:52"; UTC unless it ends in a zone like +09:00',
        ) from error
