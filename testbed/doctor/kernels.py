"""Which kernel has what: the host's beside the guest kernel."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from testbed.doctor.capability import Capability, Kind, State
from testbed.doctor.clocks import VIRTUAL_TIME
from testbed.guest.availability import no_guest_here
from testbed.guest.errors import GuestKernelError
from testbed.guest.kernel_build import find_kernel
from testbed.model.topology import DOCKER

BUILT = "built"
NOT_BUILT = "not built"
IMPOSSIBLE = "cannot be had"
DAMAGED = "damaged"

_OF_THE_HOST = frozenset({"memory"})
"""What a guest gets from the host and has no more of."""


@dataclass(frozen=True, slots=True)
class GuestState:
    """The guest kernel on this machine: one of the words above, and what there is to say of it."""

    state: str
    detail: str

    @property
    def possible(self) -> bool:
        """Is it there, or will it be built when it is needed?"""
        return self.state in (BUILT, NOT_BUILT)


def find_guest() -> GuestState:
    """Look for it."""
    trouble = no_guest_here()
    if trouble is not None:
        return GuestState(IMPOSSIBLE, trouble)
    try:
        kernel = find_kernel()
    except GuestKernelError as error:
        return GuestState(DAMAGED, f"{error.what} ({error.hint})" if error.hint else error.what)
    if kernel is None:
        return GuestState(NOT_BUILT, "built when it is first needed (testbed kernel build)")
    return GuestState(BUILT, f"Linux {kernel.manifest.release}, key {kernel.key}")


@dataclass(frozen=True, slots=True)
class KernelRow:
    """A need: do the host's kernel and the guest's have it, and which would ``auto`` choose?"""

    need: str
    host: bool
    guest: bool
    auto: str


def in_guest(capability: Capability) -> bool:
    """Does the guest have it?  Every feature of the list and every right, and the host's programs.

    That the built kernel really has every feature is for its own tests to find out.
    """
    if capability.name == DOCKER:
        return False  # an engine's containers run under the host's kernel
    if capability.kind in (Kind.PROGRAM, Kind.BACKEND) or capability.name in _OF_THE_HOST:
        return capability.present
    return True


def compare(capabilities: Iterable[Capability], guest: GuestState) -> tuple[KernelRow, ...]:
    """A row for whatever a kernel brings or a right allows; programs are the same in both."""
    return tuple(
        KernelRow(one.name, one.present, in_guest(one), _auto(one, guest))
        for one in capabilities
        if one.kind in (Kind.MACHINE, Kind.KERNEL) and one.name not in _OF_THE_HOST
    )


def _auto(capability: Capability, guest: GuestState) -> str:
    if capability.state is not State.NO:
        return "host"
    if not guest.possible:
        return "nowhere"
    return "guest, virtual clock" if capability.name == VIRTUAL_TIME else "guest, real clock"
