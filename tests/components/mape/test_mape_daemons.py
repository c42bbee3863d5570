"""CE and BR daemons together: two homes, one IPv4 address, ordinary programs and sockets.

pc-a -- ce-a --+
               +-- ngn -- br -- server
pc-b -- ce-b --+
"""

from __future__ import annotations

import errno
import signal
import socket
import subprocess
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from testbed.events import Drop, MappingCreated, MappingExpired, Provisioned
from tests.components.mape.homes import BR, SHARED, A, B, Home
from tests.components.mape.world import Daemon, World
from tests.kernel.in_netns import in_new_network, show
from tests.waiting import wait_until

pytestmark = pytest.mark.needs_root

SERVER = "203.0.113.80"
PC = "192.168.1.11"
_IP_MTU_DISCOVER, _IP_PMTUDISC_DO, _IP_MTU = 10, 2, 14
PORTS_A = range(5232, 5248)


class Town:
    """The network of the module's drawing; sockets made in a node stay in it."""

    def __init__(self, folder: Path, sockets: ExitStack) -> None:
        self.world = World(folder)
        self._sockets = sockets
        for name in ("pc-a", "pc-b", "server"):
            self.world.node(name)
        for name in ("ce-a", "ce-b", "ngn", "br"):
            self.world.node(name, router=True)
        for letter, home in (("a", A), ("b", B)):
            self._home(letter, home)
        self.world.link("ngn", "br", "2001:db8:f::1/64", "2001:db8:f::2/64")
        self.world.link("br", "server", "203.0.113.1/24", f"{SERVER}/24")
        self.world.route("ngn", f"{BR}/128", "2001:db8:f::2")
        self.world.route("br", "240b:10::/32", "2001:db8:f::1")
        self.world.route("server", "default", "203.0.113.1")

    def _home(self, letter: str, home: Home) -> None:
        pc, ce = f"pc-{letter}", f"ce-{letter}"
        prefix = home.ipv6.partition(":6a:")[0]
        self.world.link(ce, pc, "192.168.1.1/24", f"{PC}/24")
        self.world.link(ce, "ngn", f"2001:db8:{letter}::2/64", f"2001:db8:{letter}::1/64")
        self.world.route(pc, "default", "192.168.1.1")
        self.world.route(ce, "default", f"2001:db8:{letter}::1")
        self.world.route("ngn", f"{prefix}::/56", f"2001:db8:{letter}::2")

    def start(self, **options: Any) -> dict[str, Daemon]:
        """Both CEs, with these options, and the BR."""
        br = {"address": BR, "ipv4_address": "203.0.113.1", "rules": "v6plus"}
        daemons = {"br": self.world.daemon("br", "br", br)}
        for letter, home in (("a", A), ("b", B)):
            config = {
                "delegated_prefix": home.ipv6.partition(":6a:")[0] + "::/56",
                "rules": "v6plus",
                "lan_address": "192.168.1.1",
                **options,
            }
            daemons[letter] = self.world.daemon(f"ce-{letter}", "ce", config)
        return daemons

    def socket(self, node: str, kind: socket.SocketKind, port: int = 0) -> socket.socket:
        """A socket in a node, bound to a port, with a time limit."""
        with self.world.inside(node):
            made = self._sockets.enter_context(socket.socket(socket.AF_INET, kind))
        made.settimeout(10)
        made.bind(("0.0.0.0", port))
        return made

    def run(self, node: str, *command: str) -> str:
        """Run a program in a node; its output."""
        with self.world.inside(node):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def in_town(folder: Path, story: Callable[[Town], None], *, user_namespace: bool = False) -> None:
    def work() -> None:
        with ExitStack() as sockets:
            story(Town(folder, sockets))

    in_new_network(work, user_namespace=user_namespace)


def dropped(daemon: Daemon) -> list[str]:
    return [event.reason for event in daemon.events() if isinstance(event, Drop)]


def end(daemons: dict[str, Daemon]) -> None:
    for daemon in daemons.values():
        assert daemon.end() == 0
        assert daemon.errors() == ""


@pytest.mark.parametrize("as_user", [False, True], ids=["root", "user namespace"])
def test_ping_from_both_homes_at_once(tmp_path: Path, as_user: bool) -> None:
    def story(town: Town) -> None:
        daemons = town.start()
        for pc in ("pc-a", "pc-b"):
            assert "3 received" in town.run(pc, "ping", "-c3", "-i0.05", "-W5", SERVER)
        # The kernel of each CE and of the BR is one IPv4 hop: 64 - 2 arrives.
        assert "ttl=62" in town.run("pc-a", "ping", "-c1", "-W5", SERVER)
        for daemon in daemons.values():
            assert dropped(daemon) == []
            assert any(isinstance(event, Provisioned) for event in daemon.events())
        made = [event for event in daemons["a"].events() if isinstance(event, MappingCreated)]
        assert {event.outside_port for event in made} <= set(PORTS_A)
        assert len(made) == 2
        end(daemons)

    in_town(tmp_path, story, user_namespace=as_user)


def test_each_home_keeps_to_its_ports(tmp_path: Path) -> None:
    def story(town: Town) -> None:
        daemons = town.start()
        server = town.socket("server", socket.SOCK_DGRAM, 443)
        for letter, home in (("a", A), ("b", B)):
            client = town.socket(f"pc-{letter}", socket.SOCK_DGRAM, 40000)
            client.sendto(letter.encode(), (SERVER, 443))
            data, (address, port) = server.recvfrom(10)
            assert (data, address) == (letter.encode(), SHARED)
            assert home.port <= port < home.port + 16
            server.sendto(b"for " + letter.encode(), (address, port))
            assert client.recv(10) == b"for " + letter.encode()
        end(daemons)

    in_town(tmp_path, story)


def test_a_megabyte_by_tcp_both_ways(tmp_path: Path) -> None:
    """No MSS clamping: path MTU discovery through CE and BR has to find 1460."""

    def story(town: Town) -> None:
        daemons = town.start()
        listener = town.socket("server", socket.SOCK_STREAM, 80)
        listener.listen()
        client = town.socket("pc-a", socket.SOCK_STREAM)
        client.connect((SERVER, 80))
        served, _ = listener.accept()
        served.settimeout(10)
        with served:
            for sender, receiver in ((client, served), (served, client)):
                assert transfer(sender, receiver) == 1_000_000
        assert set(dropped(daemons["a"])) | set(dropped(daemons["br"])) <= {"too-big"}
        end(daemons)

    in_town(tmp_path, story)


def transfer(sender: socket.socket, receiver: socket.socket) -> int:
    """Send a million bytes from one end to the other, in one thread; how many arrived."""
    sender.setblocking(False)
    receiver.setblocking(False)
    left, got = memoryview(bytes(1_000_000)), 0

    def step() -> bool:
        nonlocal left, got
        with suppress(BlockingIOError):
            left = left[sender.send(left) :] if left else left
        with suppress(BlockingIOError):
            got += len(receiver.recv(1 << 20))
        return got == 1_000_000

    wait_until(step, "a million bytes", timeout=30)
    return got


def test_a_host_learns_the_tunnel_mtu_from_its_ce(tmp_path: Path) -> None:
    def story(town: Town) -> None:
        daemons = town.start()
        client = town.socket("pc-a", socket.SOCK_DGRAM)
        client.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _IP_PMTUDISC_DO)
        client.connect((SERVER, 9))
        client.send(bytes(1472))

        def told() -> bool:
            return client.getsockopt(socket.IPPROTO_IP, _IP_MTU) == 1460

        wait_until(told, "fragmentation needed with MTU 1460")
        with pytest.raises(OSError, match="Message too long") as caught:
            client.send(bytes(1433))
        assert caught.value.errno == errno.EMSGSIZE
        assert dropped(daemons["a"]) == ["too-big"]
        end(daemons)

    in_town(tmp_path, story)


def test_fragmented_datagrams_both_ways(tmp_path: Path) -> None:
    def story(town: Town) -> None:
        daemons = town.start()
        server = town.socket("server", socket.SOCK_DGRAM, 443)
        client = town.socket("pc-a", socket.SOCK_DGRAM)
        for end_ in (server, client):
            end_.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, 0)
        payload = bytes(i & 255 for i in range(5000))
        client.sendto(payload, (SERVER, 443))
        data, sender = server.recvfrom(6000)
        assert data == payload
        server.sendto(payload[::-1], sender)
        assert client.recv(6000) == payload[::-1]
        assert dropped(daemons["a"]) == dropped(daemons["br"]) == []
        end(daemons)

    in_town(tmp_path, story)


@pytest.mark.parametrize("mesh", [True, False])
def test_from_home_to_home_with_and_without_the_br(tmp_path: Path, mesh: bool) -> None:
    def story(town: Town) -> None:
        daemons = town.start(mesh=mesh)
        target = town.socket("pc-b", socket.SOCK_DGRAM, 40000)
        opener = town.socket("server", socket.SOCK_DGRAM, 443)
        target.sendto(b"open", (SERVER, 443))
        _, outside = opener.recvfrom(10)
        caller = town.socket("pc-a", socket.SOCK_DGRAM, 40000)
        caller.sendto(b"neighbour", outside)
        data, (address, port) = target.recvfrom(100)
        assert (data, address) == (b"neighbour", SHARED)
        assert A.port <= port < A.port + 16
        target.sendto(b"yes?", (address, port))
        assert caller.recv(100) == b"yes?"
        # Two packets, and no ICMP redirect from a kernel that sees them go out where they came in.
        passed = daemons["br"].counters()["encapsulated"]
        assert passed == (0 if mesh else 2)
        end(daemons)

    in_town(tmp_path, story)


def test_hup_brings_a_forward_into_use(tmp_path: Path) -> None:
    def story(town: Town) -> None:
        daemons = town.start()
        ce = daemons["a"]
        inside = town.socket("pc-a", socket.SOCK_DGRAM, 8080)
        outside = town.socket("server", socket.SOCK_DGRAM, 443)
        inside.sendto(b"before", (SERVER, 443))
        assert outside.recv(10) == b"before"
        outside.sendto(b"unasked", (SHARED, 5240))
        wait_until(lambda: len(dropped(ce)) == 1, "the drop")

        forward = {"protocol": "udp", "port": 5240, "to": PC, "to_port": 8080}
        good = ce.change(forwards=[{**forward, "port": 80}])
        ce.signal(signal.SIGHUP)
        wait_until(lambda: "port 80 is not in this CE's port set" in ce.errors(), "the refusal")
        ce.config.write_text(good)
        ce.change(forwards=[forward])
        ce.signal(signal.SIGHUP)

        def forwarded() -> bool:
            return any(
                isinstance(event, MappingCreated) and event.outside_port == 5240
                for event in ce.events()
            )

        wait_until(forwarded, "the forward")
        outside.sendto(b"come in", (SHARED, 5240))
        assert inside.recv(10) == b"come in"
        assert any(isinstance(event, MappingExpired) for event in ce.events())
        assert ce.end() == 0

    in_town(tmp_path, story)


def test_the_device_goes_with_its_daemon(tmp_path: Path) -> None:
    def story(town: Town) -> None:
        daemons = town.start()
        with town.world.inside("ce-a"):
            assert show("ip", "-j", "route", "show", "default")[0]["dev"] == "mape0"
        end(daemons)
        with town.world.inside("ce-a"):
            assert show("ip", "-j", "route", "show", "default") == []
            assert "mape0" not in {link["ifname"] for link in show("ip", "-j", "link")}

    in_town(tmp_path, story)
