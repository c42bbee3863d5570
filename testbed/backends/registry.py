"""Which backends there are, and what of them a plan uses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from testbed.backends.mininet_adoption import Adopted
from testbed.backends.netns import NetnsBackend
from testbed.backends.place import MININET_CONSOLE, Backend, Console, NodePlace
from testbed.backends.surroundings import Surroundings
from testbed.kernel.channel import Channel
from testbed.model.topology import DOCKER, MININET
from testbed.plan.operations import MakeNode, Plan


def backends_of(plan: Plan) -> list[str]:
    """The backends that a plan's nodes are on."""
    orders = (operation for operation in plan.operations if isinstance(operation, MakeNode))
    return list(dict.fromkeys(order.backend for order in orders))


def trouble(name: str) -> str | None:
    """Why a backend cannot be used here, or None if it can."""
    if name == DOCKER:
        from testbed.backends.docker import why_no_docker

        return why_no_docker()
    if name == MININET:
        from testbed.backends.mininet_process import why_no_mininet

        return why_no_mininet()
    return None


@contextmanager
def helpers_outside(lab: str, plan: Plan, run_folder: Path) -> Iterator[Mapping[str, Channel]]:
    """Start, in the host's namespaces, what backends need there; in the owner's process.

    Yields:
        a channel for each backend that has such a helper.  It ends with the last copy of its
        channel: the lab's first process has taken one when this ends.

    Raises:
        LabError: a backend cannot be used here; nothing was made.
    """
    channels: dict[str, Channel] = {}
    try:
        if DOCKER in backends_of(plan):
            from testbed.backends.docker import start_keeper

            channels[DOCKER] = start_keeper(lab, plan, run_folder)
        yield channels
    finally:
        for channel in channels.values():
            channel.close()


def make_backend(name: str, given: Surroundings) -> Backend:
    """The backend of that name for one lab."""
    if name == DOCKER:
        from testbed.backends.docker import DockerBackend

        return DockerBackend(given)
    if name == MININET:
        from testbed.backends.mininet import MininetBackend

        return MininetBackend(given)
    return NetnsBackend(given.home, given.run_folder, given.children)


def consoles_of(backends: Mapping[str, Backend]) -> dict[str, Console]:
    """The prompts that a lab's backends have, by the name that a command asks for them."""
    consoles: dict[str, Console] = {}
    if MININET in backends:
        from testbed.backends.mininet import MininetBackend

        mininet = backends[MININET]
        assert isinstance(mininet, MininetBackend)
        consoles[MININET_CONSOLE] = mininet.open_prompt
    return consoles


def adopted_by(backends: Mapping[str, Backend]) -> tuple[Adopted, Mapping[str, NodePlace]]:
    """What Mininet built from somebody's own topology, and all of its nodes."""
    from testbed.backends.mininet import MininetBackend

    mininet = backends[MININET]
    assert isinstance(mininet, MininetBackend)
    assert mininet.adopted is not None
    return mininet.adopted, mininet.places
