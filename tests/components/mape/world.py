"""Network nodes for the daemon tests: namespaces of one process, joined by veth pairs.

For use inside :func:`tests.kernel.in_netns.in_new_network` only: the process moves between the
namespaces, and everything is gone when it ends.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from testbed.events import Event, Note, decode
from testbed.kernel import addresses, links, namespaces, routes, sysctl
from testbed.kernel.links import VethEnd
from testbed.kernel.rtnl import RouteSocket
from testbed.kernel.tun import NODE
from tests.waiting import wait_until

_READY_WITHIN_S = 20.0
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def _end_with_parent() -> None:
    """In a daemon to be: end with the test's process, however that ends, and leave nothing."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def require_tun() -> None:
    """Skip where this user may not use TUN devices."""
    if not os.access(NODE, os.R_OK | os.W_OK):
        pytest.skip(f"this user has no access to {NODE}")


class World:
    """Nodes by name; ``folder`` takes configurations and what the daemons print."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._nodes: dict[str, int] = {}
        self._home = namespaces.current_network()
        self._index = 10

    def node(self, name: str, *, router: bool = False) -> None:
        """A new namespace."""
        self._nodes[name] = namespaces.new_network()
        # A router asks for neighbours from its link-local address, which must not be tentative.
        sysctl.write("net/ipv6/conf/default/accept_dad", "0")
        # Strict, as some distributions have it: the daemons must take it off their own device.
        sysctl.write("net/ipv4/conf/default/rp_filter", "1")
        if router:
            sysctl.write("net/ipv4/ip_forward", "1")
            sysctl.write("net/ipv6/conf/all/forwarding", "1")
        with RouteSocket(name) as kernel:
            kernel.run(links.change("lo", up=True))
        namespaces.enter_network(self._home)

    @contextmanager
    def inside(self, name: str) -> Iterator[None]:
        """Be in a node: sockets and programs made there belong to it."""
        with namespaces.inside_network(self._nodes[name], self._home):
            yield

    def link(self, a: str, b: str, a_addresses: str, b_addresses: str, mtu: int = 1500) -> None:
        """Join two nodes; each interface is named after the other end."""
        # Different indices at both ends: with equal ones the kernel may take a second to believe
        # that the link is up.
        near = VethEnd(b, self._index, mtu=mtu)
        far = VethEnd(a, self._index + 1, netns_fd=self._nodes[b], mtu=mtu)
        self._index += 2
        with self.inside(a), RouteSocket(a) as kernel:
            kernel.run(links.veth(near, far))
        for node, interface, given in ((a, b, a_addresses), (b, a, b_addresses)):
            with self.inside(node), RouteSocket(node) as kernel:
                index = socket.if_nametoindex(interface)
                kernel.queue(links.change(index, up=True))
                for address in given.split():
                    kernel.queue(addresses.add_address(index, address, nodad=":" in address))
                kernel.flush()
        for node, interface in ((a, b), (b, a)):
            self._await_carrier(node, interface)

    def _await_carrier(self, node: str, interface: str) -> None:
        """Until the kernel lets packets out: many links elsewhere on the machine can delay that."""
        with self.inside(node), RouteSocket(node) as kernel:

            def up() -> bool:
                state = {link.name: link.operstate for link in kernel.links()}
                return state[interface] == "up"

            wait_until(up, f"the link {node} - {interface}", timeout=30)

    def route(self, node: str, destination: str, via: str) -> None:
        """A route of a node."""
        with self.inside(node), RouteSocket(node) as kernel:
            kernel.run(routes.add_route(destination, via=via))

    def daemon(self, node: str, role: str, config: dict[str, Any]) -> Daemon:
        """Start a CE or BR in a node and wait until it says that it is ready."""
        require_tun()
        path = self.folder / f"{node}.json"
        path.write_text(json.dumps(config), encoding="utf-8")
        address = str(self.folder / f"{node}.notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
            listener.bind(address)
            listener.settimeout(_READY_WITHIN_S)
            daemon = Daemon(self, node, role, path, address)
            try:
                message = listener.recv(100)
            except TimeoutError:
                daemon.process.kill()
                raise AssertionError(f"{role} never got ready: {daemon.errors()}") from None
            assert message == b"READY=1"
        return daemon


class Daemon:
    """A running CE or BR."""

    def __init__(self, world: World, node: str, role: str, config: Path, notify: str) -> None:
        self.config = config
        self._out = world.folder / f"{node}.out"
        self._err = world.folder / f"{node}.err"
        command = [sys.executable, "-m", "testbed.components.mape", role, "--config", str(config)]
        environment = {**os.environ, "NOTIFY_SOCKET": notify, "PYTHONUNBUFFERED": "1"}
        environment.pop("TESTBED_EVENTS_FD", None)
        with world.inside(node), self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                command,
                stdout=out,
                stderr=err,
                env=environment,
                preexec_fn=_end_with_parent,  # noqa: PLW1509 - this process has one thread
            )

    def events(self) -> list[Event]:
        """All events so far."""
        return [decode(line).event for line in self._out.read_text().splitlines()]

    def errors(self) -> str:
        """What it wrote to standard error."""
        return self._err.read_text()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def counters(self) -> dict[str, int]:
        """Its counters, asked for now."""
        before = len(self._told())
        self.signal(signal.SIGUSR1)
        wait_until(lambda: len(self._told()) > before, "the counters")
        told: dict[str, int] = json.loads(self._told()[-1])
        return told

    def _told(self) -> list[str]:
        notes = [event.text for event in self.events() if isinstance(event, Note)]
        return [text.removeprefix("counters ") for text in notes if text.startswith("counters ")]

    def change(self, **options: Any) -> str:
        """Change its configuration file (HUP makes it count); what was there before."""
        before = self.config.read_text()
        self.config.write_text(json.dumps({**json.loads(before), **options}))
        return before

    def end(self) -> int:
        """Tell it to end; its exit status."""
        self.signal(signal.SIGTERM)
        return self.process.wait(10)
