"""Where each scenario runs: on which backend, kernel and clock, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from testbed.doctor.clocks import THROUGHPUT, VIRTUAL_TIME
from testbed.model.topology import BACKENDS, DOCKER, NETNS
from testbed.scenarios.choice import AUTO, GUEST, HOST, REAL, VIRTUAL, Choice
from testbed.scenarios.needs import MEANINGLESS, is_program
from testbed.scenarios.session import Scenario


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a scenario runs and why there.

    ``refused`` says why it runs nowhere; ``asked_for`` that this is so only because of the options.
    """

    kernel: str
    clock: str
    why: str = ""
    refused: str = ""
    asked_for: bool = False
    backend: str = NETNS

    @property
    def machine(self) -> str:
        """In words."""
        kernel = "host" if self.kernel == HOST else f"guest, {self.clock} clock"
        return kernel if self.backend == NETNS else f"{self.backend}, {kernel}"

    def tell(self, scenario: Scenario) -> None:
        """Let its record say so."""
        scenario.machine, scenario.placed = self.machine, self.why
        scenario.backend, scenario.kernel, scenario.clock = self.backend, self.kernel, self.clock

    @property
    def properties(self) -> list[tuple[str, object]]:
        """What ``junit.xml`` says of it."""
        found: list[tuple[str, object]] = [
            ("backend", self.backend),
            ("kernel", self.kernel),
            ("clock", self.clock),
        ]
        return [*found, ("kernel_reason", self.why)] if self.why else found


@dataclass(frozen=True, slots=True)
class Kernels:
    """What is known of both kernels.

    ``missing`` says why the host has not what a need names, or None; ``no_guest`` why there can be
    no guest, or None (it is asked only when a guest is wanted).
    """

    missing: Callable[[str], str | None]
    no_guest: Callable[[], str | None]


def place(
    needs: Sequence[str], choice: Choice, kernels: Kernels, backend: str = NETNS
) -> Placement:
    """Where a scenario with these needs runs, on this backend (which may be among the needs)."""
    return replace(_place(needs, choice, kernels), backend=backend)


def _place(needs: Sequence[str], choice: Choice, kernels: Kernels) -> Placement:
    if choice.kernel == HOST:
        return Placement(HOST, REAL, refused=_first(needs, kernels))
    absent = _first([name for name in needs if is_program(name) or name in BACKENDS], kernels)
    if absent:  # a guest has the host's programs, and no others
        return Placement(HOST, REAL, refused=absent)
    asked = choice.guest_because
    if choice.kernel == AUTO and asked is None:
        lacking = _lacking(needs, kernels)
        if not lacking:
            return Placement(HOST, REAL)
    else:
        lacking = "--kernel guest" if choice.kernel == GUEST else str(asked)
    if DOCKER in needs:
        refused = f"containers run under the host's kernel and by its clock ({lacking})"
        return Placement(HOST, REAL, refused=refused)
    clock = _clock(needs, choice)
    refused = _clock_refuses(needs, clock)
    if refused:
        return Placement(GUEST, clock, lacking, refused, asked_for=True)
    if not choice.needs_guest and (trouble := kernels.no_guest()) is not None:
        refused = f"{lacking}, and there is no guest kernel: {trouble}"
    return Placement(GUEST, clock, lacking, refused)


def _first(needs: Iterable[str], kernels: Kernels) -> str:
    return next((why for name in needs if (why := kernels.missing(name)) is not None), "")


def _lacking(needs: Iterable[str], kernels: Kernels) -> str:
    """Everything that the host lacks, in few words."""
    names = [name for name in needs if kernels.missing(name) is not None]
    words = []
    if VIRTUAL_TIME in names:
        words.append("virtual time is needed")
        names.remove(VIRTUAL_TIME)
    if THROUGHPUT in names:  # this very machine is a guest with a virtual clock
        words.append("real time is needed")
        names.remove(THROUGHPUT)
    if names:
        words.append(f"this kernel has no {', '.join(dict.fromkeys(names))}")
    return "; ".join(words)


def _clock(needs: Sequence[str], choice: Choice) -> str:
    if choice.clock != AUTO:
        return choice.clock
    return VIRTUAL if VIRTUAL_TIME in needs or choice.start is not None else REAL


def _clock_refuses(needs: Sequence[str], clock: str) -> str:
    if clock == VIRTUAL and THROUGHPUT in needs:
        return f"refused with a virtual clock: {MEANINGLESS}"
    if clock == REAL and VIRTUAL_TIME in needs:
        return "refused with a real clock: it needs virtual time (leave out --clock real)"
    return ""


@dataclass(frozen=True, slots=True)
class Group:
    """Scenarios that share a place and a reason."""

    count: int
    kernel: str
    clock: str
    why: str
    refused: bool
    backend: str = NETNS

    @property
    def line(self) -> str:
        """For people."""
        what = "" if self.backend == NETNS else f" ({self.backend})"
        if self.refused:
            return f"{self.count}{what} nowhere: {self.why}"
        where = "on the host" if self.kernel == HOST else f"in a guest, {self.clock} clock"
        return f"{self.count}{what} {where}{f': {self.why}' if self.why else ''}"


def groups(placements: Iterable[Placement]) -> tuple[Group, ...]:
    """How many scenarios go where, those on the host first and those that go nowhere last."""
    counts = Counter(placements)
    found = [
        Group(
            count,
            one.kernel,
            one.clock,
            one.refused or one.why,
            bool(one.refused),
            one.backend,
        )
        for one, count in counts.items()
    ]
    return tuple(sorted(found, key=_order))


def _order(group: Group) -> tuple[object, ...]:
    known = BACKENDS.index(group.backend)
    return group.refused, group.kernel != HOST, known, group.clock, group.why
