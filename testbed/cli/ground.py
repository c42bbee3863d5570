"""Which kernel a lab of one's own comes up under, and what this machine lacks if it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.cli.output import tell
from testbed.errors import (
    LabError,
    LabExistsError,
    MissingFeatureError,
    TestbedError,
    TopologyError,
)

if TYPE_CHECKING:
    from testbed.guest.machine import Machine
    from testbed.model.topology import Topology


def machine_for(
    model: Topology, backend: str, kernel: str, clock: str, seed: int | None, start: str | None
) -> Machine | None:
    """The guest that is asked for or needed, if any."""
    from testbed.backends.registry import backends_of
    from testbed.guest.availability import no_guest_here
    from testbed.model.topology import NETNS
    from testbed.plan import make_plan
    from testbed.scenarios.choice import GUEST, Choice
    from testbed.scenarios.needs import missing
    from testbed.scenarios.placement import Kernels, place

    choice = Choice.of(kernel, clock, seed=seed, start=start)
    plan = make_plan(model, backend)
    needs = [feature for feature, _ in plan.needs]
    needs += [name for name in backends_of(plan) if name != NETNS]
    placement = place(needs, choice, Kernels(missing, no_guest_here))
    if placement.refused:
        raise LabError(placement.refused, hint="testbed doctor tells what this machine has")
    if placement.kernel != GUEST:
        return None
    if choice.kernel != GUEST:
        tell(f"in a guest: {placement.why}")
    return choice.machine(placement.clock)


def blame_what_is_missing(model: Topology, backend: str, error: TestbedError) -> None:
    """A lab did not come up: is it because this machine lacks what the topology needs?

    It is asked only now: trying out the kernel takes longer than bringing up a lab.

    Raises:
        MissingFeatureError: that is so.
    """
    from testbed.model.topology import DOCKER
    from testbed.scenarios.needs import missing, needs_of_topology

    elsewhere = "; containers run under the host's kernel, other backends in a guest, too"
    if backend != DOCKER:
        elsewhere = "; testbed up --kernel guest may have it"
    if isinstance(error, LabExistsError | TopologyError):
        return
    for need in needs_of_topology(model):
        why = missing(need.name)
        if why is not None:
            raise MissingFeatureError(
                f"{why}; the lab needs it, and did not come up ({error.what})",
                where=need.place,
                hint=f"testbed doctor says what would provide it{elsewhere}",
            ) from error
