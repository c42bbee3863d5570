"""What kind of machine a guest is, and the kernel command line that makes it so."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from testbed.guest.errors import GuestError
from testbed.guest.progress import PROGRESS

START = datetime(2025, 1, 1, tzinfo=UTC)
"""When virtual time begins, unless told otherwise."""

CONTROL = "/proc/self/cwd"
"""The control folder as everybody in the guest's kernel can name it: it is the working folder of
the kernel's own process.  So the command line, from which the kernel's random pool is fed, is the
same for every run, and no path of the host comes in by it."""

RUN = f"{CONTROL}/.."
"""The run folder: the control folder lies in it."""

_LINK = 0
"""The descriptor that leads to the host."""

SETTLE_S = 2
"""Seconds of virtual time before the command starts.  They cost nothing, and by then the kernel has
settled; ping, for one, takes a first second of uptime for no time at all and does not wait."""

_BEFORE_1970 = "virtual time cannot begin before 1970"
_SEEDS = 1 << 64
_LONGEST_JITTER_NS = 10**9


@dataclass(frozen=True, slots=True)
class VirtualClock:
    """A clock that moves only while everybody waits, and then at once to where the first wait ends.

    ``start`` is what it shows when the command starts.
    """

    start: datetime = START

    def __post_init__(self) -> None:
        if self.start.tzinfo is None:
            raise GuestError(
                f"{self.start} is no moment without a time zone",
                where="start of virtual time",
                hint="add one, for example +00:00",
            )
        if self.boot_ns < 0:
            raise GuestError(_BEFORE_1970, where=str(self.start))

    @property
    def boot_ns(self) -> int:
        """What it shows when the machine comes up, in nanoseconds since 1970."""
        since = self.start - datetime(1970, 1, 1, tzinfo=UTC)
        seconds = since.days * 86_400 + since.seconds - SETTLE_S
        return seconds * 10**9 + since.microseconds * 1000


@dataclass(frozen=True, slots=True)
class Jitter:
    """Another order of threads and packets under the virtual clock, drawn from a seed.

    There everything happens in one order, always the same, and a race that another order would
    show is never seen.  With jitter, ``per_mille`` of a thousand system calls (of all processes,
    chosen at random) take up to ``max_ns`` nanoseconds of virtual time, and after half of these
    whoever else can run goes first.  Each ``seed`` (0 to 2^64 - 1) is another order, and always
    the same one.  The generator is one of its own: the machine's seed, which keys and nonces come
    from, does not enter.
    """

    seed: int
    max_ns: int = 100_000
    per_mille: int = 20

    def __post_init__(self) -> None:
        _check_seed(self.seed)
        if not 0 <= self.max_ns <= _LONGEST_JITTER_NS:
            raise GuestError(
                f"a jitter of {self.max_ns} ns is not possible",
                hint=f"choose from 0 to {_LONGEST_JITTER_NS} ns (a second)",
            )
        if not 0 <= self.per_mille <= 1000:
            raise GuestError(
                f"{self.per_mille} of 1000 system calls cannot be delayed",
                hint="choose from 0 to 1000",
            )


def _check_seed(seed: int) -> None:
    if not 0 <= seed < _SEEDS:
        raise GuestError(f"{seed} is no seed", hint="choose one from 0 to 2^64 - 1")


@dataclass(frozen=True, slots=True)
class Machine:
    """A guest's memory, clock and randomness.

    ``clock`` is None for real time.  With a ``seed`` (0 to 2^64 - 1) the kernel's random numbers
    are a function of it; without, they come from the host.  ``jitter`` needs the virtual clock.
    """

    memory_mb: int = 1024
    clock: VirtualClock | None = None
    seed: int | None = None
    jitter: Jitter | None = None

    def __post_init__(self) -> None:
        if self.memory_mb < 64:
            raise GuestError(f"a guest of {self.memory_mb} MB cannot boot", hint="give it 64 MB")
        if self.seed is not None:
            _check_seed(self.seed)
        if self.jitter is not None and self.clock is None:
            raise GuestError(
                "jitter orders what happens under the virtual clock; real time has its own",
                hint="choose a virtual clock, or leave the jitter out",
            )


def command_line(machine: Machine) -> tuple[str, ...]:
    """The arguments of the kernel; the same for equal machines, wherever they run."""
    return (
        f"mem={machine.memory_mb}M",
        "root=/dev/root",
        "rootfstype=hostfs",
        "rootflags=/",
        "ro",
        f"hostfs_rw={RUN}",
        f"hostlink={_LINK}",
        f"progress={PROGRESS}",
        "con=null",
        "con0=null,fd:1",
        # The jitter entropy source measures how long computing takes; under the virtual clock it
        # takes no time, and its self-test would never end.
        "initcall_blacklist=jent_mod_init",
        # No interfaces that nobody asked for: dummy0, ifb0, ifb1, and in every network namespace
        # tunl0, gre0, sit0..., which take the numbers that labs choose for their own.
        "fb_tunnels=none",
        "dummy.numdummies=0",
        "ifb.numifbs=0",
        "quiet",
        "umid=guest",
        "uml_dir=uml/",
        *_clock(machine.clock),
        *(() if machine.seed is None else (f"tt-seed={machine.seed}",)),
        *_jitter(machine.jitter),
        f"init={CONTROL}/python",
        # What follows are init's arguments.
        *("--", "-I", "-S", "-B", f"{CONTROL}/inside.py"),
    )


def _clock(clock: VirtualClock | None) -> tuple[str, ...]:
    if clock is None:
        return ()
    return ("time-travel=inf-cpu", f"time-travel-start={clock.boot_ns}")


def _jitter(jitter: Jitter | None) -> tuple[str, ...]:
    if jitter is None:
        return ()
    return (f"tt-jitter={jitter.seed},{jitter.max_ns},{jitter.per_mille}",)
