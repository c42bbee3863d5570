"""Faults on a lab that is up, and undoing them from the plan."""

from __future__ import annotations

import errno
from collections.abc import Iterable
from ipaddress import ip_interface

from testbed.errors import LabError
from testbed.events import FaultApplied
from testbed.kernel import addresses, links, tc
from testbed.model import fault as model
from testbed.model.fault import Fault
from testbed.model.impairment import Impairment
from testbed.plan.operations import AddAddress, AddRoute, MakeCable, Plan, Port, SetUp, Shape
from testbed.supervisor.construct import request_of, settle, shaping
from testbed.supervisor.journal import Journal
from testbed.supervisor.nodes import Nodes
from testbed.supervisor.services import Services

_NOT_YET = (errno.EEXIST, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN)


class Faults:
    """Puts faults on a lab."""

    def __init__(self, plan: Plan, nodes: Nodes, services: Services, journal: Journal) -> None:
        self._plan, self._nodes = plan, nodes
        self._services, self._journal = services, journal

    def use(self, plan: Plan) -> None:
        """Undo faults from another plan from now on."""
        self._plan = plan

    async def apply(self, fault: Fault, due_ns: int | None = None) -> None:
        """Apply one fault; ``due_ns`` is when a schedule wanted it.

        Raises:
            LabError: its target does not exist in this lab, or the kernel refused.
        """
        match fault.kind:
            case model.CUT:
                self._each(fault, self._cut)
            case model.RESTORE:
                self._restore(self._ports(fault.target))
            case model.IMPAIR:
                self.impair(fault.target, fault.impairment or Impairment())
            case model.FLUSH_ADDRESSES:
                self._each(fault, self._flush)
            case model.SET_ADDRESSES:
                self._each(fault, lambda port: self._set_addresses(port, fault.addresses))
            case model.KILL_SERVICE:
                await self._services.kill(fault.target)
            case model.RESTART_SERVICE:
                node, service = self._services.find(fault.target)
                await self._services.stop(fault.target)
                await self._services.start(node, service)
            case model.REBOOT:
                await self._reboot(fault.target)
            case _:
                kinds = ", ".join(model.FAULT_KINDS)
                raise LabError(f"no fault is called {fault.kind!r}", hint=f"there are: {kinds}")
        detail = " ".join(fault.addresses)
        if fault.impairment is not None:
            detail = Shape("", "", 0, fault.impairment).text().removeprefix("shape : ")
        self._journal.say(FaultApplied(fault.kind, fault.target, detail, due_ns))

    def impair(self, target: str, impairment: Impairment) -> None:
        """Make a link or one interface as bad as told.

        Raises:
            LabError: there is no such thing in this lab, or the kernel refused.
        """
        for port in self._ports(target):
            self._impair(port, impairment)

    def _each(self, fault: Fault, action: object) -> None:
        for port in self._ports(fault.target):
            assert callable(action)
            action(port)

    def _ports(self, target: str) -> list[Port]:
        """The ports of a link (by its name), or the one port ``node:interface``."""
        found: list[Port] = []
        known: list[str] = []
        nodes = {node.name for node in self._nodes}
        for operation in self._plan.operations:
            if isinstance(operation, MakeCable):
                pair = (operation.left, operation.right)
                named = [port for port in pair if port.node in nodes]
                known += [operation.link, *(f"{port.node}:{port.name}" for port in named)]
                if operation.link == target:
                    found += named
                found += [port for port in named if f"{port.node}:{port.name}" == target]
        if not found:
            listing = ", ".join(dict.fromkeys(known))
            raise LabError(f"no link or interface {target!r}", hint=f"this lab has: {listing}")
        return found

    def _cut(self, port: Port) -> None:
        with self._nodes.route_socket(port.node) as kernel:
            kernel.run(links.change(port.index, up=False))

    def _restore(self, ports: list[Port]) -> None:
        """Switch ports on again; the kernel forgot IPv6 addresses and routes.

        A route through another port that is still off cannot come back yet: it does with that port.
        """
        for port in ports:
            with self._nodes.route_socket(port.node) as kernel:
                for step in self._steps_of(port):
                    kernel.run(request_of(step).ignoring(errno.EEXIST))
        for node in {port.node for port in ports}:
            with self._nodes.route_socket(node) as kernel:
                for operation in self._plan.operations:
                    if isinstance(operation, AddRoute) and operation.node == node:
                        kernel.run(request_of(operation).ignoring(*_NOT_YET))
        self._settle(ports)

    def _settle(self, ports: list[Port]) -> None:
        """Wait until the cables of these ports carry packets, where both ends are switched on."""
        for operation in self._plan.operations:
            if isinstance(operation, MakeCable):
                ends = (operation.left, operation.right)
                if any(end in ports for end in ends) and all(self._is_on(end) for end in ends):
                    settle(ends, self._nodes)

    def _is_on(self, port: Port) -> bool:
        with self._nodes.route_socket(port.node) as kernel:
            return kernel.link(port.index).up

    def _steps_of(self, port: Port) -> Iterable[AddAddress | SetUp]:
        for operation in self._plan.operations:
            if isinstance(operation, AddAddress | SetUp) and (
                (operation.node, operation.index) == (port.node, port.index)
            ):
                yield operation

    def _impair(self, port: Port, impairment: Impairment) -> None:
        with self._nodes.route_socket(port.node) as kernel:
            if impairment == Impairment():
                kernel.run(tc.delete_qdisc(port.index).ignoring(errno.ENOENT, errno.EINVAL))
            else:
                kernel.run(shaping(port.index, impairment).at(f"{port.node}:{port.name}"))

    def _flush(self, port: Port) -> None:
        with self._nodes.route_socket(port.node) as kernel:
            for entry in kernel.addresses():
                if entry.link == port.index and not entry.address.is_link_local:
                    kernel.queue(addresses.delete_address(port.index, str(entry.address)))
            kernel.flush()

    def _set_addresses(self, port: Port, texts: tuple[str, ...]) -> None:
        self._flush(port)
        with self._nodes.route_socket(port.node) as kernel:
            for text in texts:
                nodad = ip_interface(text).version == 6
                kernel.queue(addresses.add_address(port.index, text, nodad=nodad))
            kernel.flush()

    async def _reboot(self, node: str) -> None:
        """End the node's services, take its links down and up, start its services again."""
        known = self._nodes[node].name
        keys = [key for key in self._services.states() if key.startswith(f"{known}/")]
        for key in reversed(keys):
            await self._services.stop(key)
        ports = [
            port
            for operation in self._plan.operations
            if isinstance(operation, MakeCable)
            for port in (operation.left, operation.right)
            if port.node == known
        ]
        for port in ports:
            self._cut(port)
        self._restore(ports)
        for key in keys:
            await self._services.start(*self._services.find(key))
