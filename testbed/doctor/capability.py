"""The doctor's words: something this machine can do, cannot do, or can do only in part."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """Who would have to provide it."""

    MACHINE = "machine"
    """The machine's settings and this user's rights."""
    KERNEL = "kernel"
    """The running kernel: built in, as a module, or not at all."""
    BACKEND = "backend"
    """What nodes can be made of: Mininet, a Docker engine."""
    PROGRAM = "program"
    """A program, from a Debian package."""


class State(StrEnum):
    """How far a capability goes."""

    YES = "yes"
    LIMITED = "limited"
    """There, but not all of it; the detail says what is missing."""
    NO = "no"


@dataclass(frozen=True, slots=True)
class Capability:
    """One thing that scenarios may need.

    ``name`` is the word by which scenarios and services ask for it (``tun``, ``curl``).
    ``detail`` is what was found: a version, a number, the kernel's own refusal.
    ``remedy`` is what to do about ``LIMITED`` or ``NO``; empty when all is well, or when something
    else must be put right first.
    """

    name: str
    kind: Kind
    state: State
    purpose: str
    detail: str
    remedy: str = ""

    @property
    def present(self) -> bool:
        """Can what needs this run?  With something limited it can."""
        return self.state is not State.NO


@dataclass(frozen=True, slots=True)
class Fact:
    """Something worth knowing about the machine that no scenario asks for."""

    name: str
    value: str
