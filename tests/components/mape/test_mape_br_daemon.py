"""The BR daemon between real namespaces: kernel routing, TUN, signals.

The customer's side is a raw socket that speaks the tunnel protocol, the internet's side an ordinary
UDP socket; both are the kernel's own implementation.
"""

from __future__ import annotations

import errno
import signal
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random

import pytest
from scapy.layers.inet import IP, UDP
from scapy.packet import Raw

from testbed.components.mape.interface import Interface, InterfacePlan
from testbed.errors import TestbedError
from testbed.events import Drop, Note, Provisioned
from testbed.kernel import namespaces
from testbed.kernel.tun import TunDevice
from tests.components.mape.homes import BR, SHARED, A, B
from tests.components.mape.world import Daemon, World, require_tun
from tests.kernel.in_netns import in_new_network, show
from tests.waiting import wait_until

pytestmark = pytest.mark.needs_root

SERVER = "203.0.113.80"
CONFIG = {"address": BR, "ipv4_address": "203.0.113.1", "rules": "v6plus"}
_IP_RECVTTL = 12
_IP_MTU_DISCOVER, _IP_PMTUDISC_DO, _IP_MTU = 10, 2, 14


class Street:
    """home -- br -- server, with home A's tunnel end in ``home``."""

    def __init__(self, folder: Path, sockets: ExitStack) -> None:
        self.world = World(folder)
        self.world.node("home")
        self.world.node("br", router=True)
        self.world.node("server")
        self.world.link("home", "br", f"2001:db8:a::2/64 {A.ipv6}/128", "2001:db8:a::1/64")
        self.world.link("br", "server", "203.0.113.1/24", f"{SERVER}/24")
        self.world.route("home", "default", "2001:db8:a::1")
        self.world.route("br", "240b:10::/32", "2001:db8:a::2")
        self.world.route("server", "default", "203.0.113.1")
        with self.world.inside("home"):
            self.home = sockets.enter_context(
                socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_IPIP)
            )
            self.home.bind((A.ipv6, 0))
        with self.world.inside("server"):
            self.server = sockets.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            self.server.bind((SERVER, 443))
        for end in (self.home, self.server):
            end.settimeout(10)

    def start(self, **changes: object) -> Daemon:
        return self.world.daemon("br", "br", CONFIG | changes)

    def send_up(self, port: int, payload: bytes, ttl: int = 64) -> None:
        """A datagram out of the tunnel from home A's end, with any source port."""
        inner = IP(src=SHARED, dst=SERVER, ttl=ttl) / UDP(sport=port, dport=443) / Raw(payload)
        self.home.sendto(bytes(inner), (BR, 0))


@contextmanager
def street(folder: Path) -> Iterator[Street]:
    with ExitStack() as sockets:
        yield Street(folder, sockets)


def drops(daemon: Daemon) -> list[str]:
    return [event.reason for event in daemon.events() if isinstance(event, Drop)]


def in_street(folder: Path, story: Callable[[Street], None]) -> None:
    def work() -> None:
        with street(folder) as place:
            story(place)

    in_new_network(work)


def test_packets_cross_both_ways_and_lose_one_hop(tmp_path: Path) -> None:
    def story(place: Street) -> None:
        daemon = place.start()
        place.server.setsockopt(socket.IPPROTO_IP, _IP_RECVTTL, 1)
        place.send_up(A.port, b"hello", ttl=64)
        data, control, _, sender = place.server.recvmsg(2000, 100)
        assert (data, sender) == (b"hello", (SHARED, A.port))
        ((_, _, ttl),) = control
        assert struct.unpack("i", ttl) == (63,)

        place.server.sendto(b"welcome", (SHARED, A.port))
        packet = IP(place.home.recv(2000))
        assert packet.ttl == 63
        assert (packet.src, packet.dst, packet.dport) == (SERVER, SHARED, A.port)
        assert bytes(packet[UDP].payload) == b"welcome"
        assert drops(daemon) == []
        assert daemon.end() == 0
        assert daemon.errors() == ""
        (provisioned,) = daemon.events()
        assert isinstance(provisioned, Provisioned)
        assert "8 rules, draft03, source check on" in provisioned.detail

    in_street(tmp_path, story)


def test_a_forged_source_is_dropped_and_told(tmp_path: Path) -> None:
    def story(place: Street) -> None:
        daemon = place.start()
        place.send_up(B.port, b"forged")
        place.send_up(A.port, b"honest")
        assert place.server.recv(100) == b"honest"
        wait_until(lambda: drops(daemon) == ["source-port-mismatch"], "the drop")
        daemon.end()

    in_street(tmp_path, story)


def test_noise_does_not_end_it(tmp_path: Path) -> None:
    def story(place: Street) -> None:
        daemon = place.start()
        random = Random(7)
        for _ in range(300):
            place.home.sendto(random.randbytes(random.randrange(1, 120)), (BR, 0))
        place.send_up(A.port, b"still here")
        assert place.server.recv(100) == b"still here"
        wait_until(lambda: drops(daemon) == ["malformed"] * 300, "300 drops")
        assert daemon.end() == 0
        assert daemon.errors() == ""

    in_street(tmp_path, story)


def test_the_server_learns_the_tunnel_mtu(tmp_path: Path) -> None:
    def story(place: Street) -> None:
        daemon = place.start()
        place.server.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _IP_PMTUDISC_DO)
        place.server.connect((SHARED, A.port))
        place.server.send(bytes(1472))

        def told() -> bool:
            return place.server.getsockopt(socket.IPPROTO_IP, _IP_MTU) == 1460

        wait_until(told, "fragmentation needed with MTU 1460")
        with pytest.raises(OSError, match="Message too long") as caught:
            place.server.send(bytes(1433))
        assert caught.value.errno == errno.EMSGSIZE
        place.server.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)  # take the pending error away
        place.server.send(bytes(1432))
        assert len(place.home.recv(2000)) == 1460
        assert drops(daemon) == ["too-big"]
        daemon.end()

    in_street(tmp_path, story)


def test_an_expiring_packet_is_answered_by_the_br(tmp_path: Path) -> None:
    """What traceroute sees: the kernel's own answer finds its way back into the tunnel."""

    def story(place: Street) -> None:
        daemon = place.start()
        place.send_up(A.port, b"probe", ttl=1)
        answer = IP(place.home.recv(2000))
        assert (answer.src, answer.dst, answer.proto) == ("203.0.113.1", SHARED, 1)
        assert bytes(answer)[20] == 11
        assert drops(daemon) == []
        daemon.end()

    in_street(tmp_path, story)


def test_signals_report_and_reload(tmp_path: Path) -> None:
    def story(place: Street) -> None:
        daemon = place.start()
        daemon.signal(signal.SIGUSR1)

        def notes() -> list[str]:
            return [event.text for event in daemon.events() if isinstance(event, Note)]

        wait_until(lambda: len(notes()) == 1, "the counters")
        assert notes()[0].startswith('counters {"received": ')

        good = daemon.config.read_text()
        daemon.config.write_text("{")
        daemon.signal(signal.SIGHUP)
        wait_until(lambda: len(notes()) == 2, "the refusal")
        assert "the old configuration stays" in notes()[1]

        moved = "2404:9200:225:100::65"
        daemon.config.write_text(good.replace(BR, moved).replace("}", ', "source_check": false}'))
        daemon.signal(signal.SIGHUP)
        wait_until(lambda: "source check off" in str(daemon.events()[-1]), "the new configuration")
        with place.world.inside("br"):
            (route,) = show("ip", "-j", "-6", "route", "get", moved)
            assert route["dev"] == "mape0"
            (route,) = show("ip", "-j", "-6", "route", "show", f"{BR}/128") or [None]
            assert route is None
        inner = IP(src=SHARED, dst=SERVER) / UDP(sport=80, dport=443) / Raw(b"unchecked")
        place.home.sendto(bytes(inner), (moved, 0))
        assert place.server.recv(100) == b"unchecked"
        assert daemon.end() == 0

    in_street(tmp_path, story)


def test_the_device_is_quiet_and_set_up(tmp_path: Path) -> None:
    """No neighbour discovery of the kernel's own reaches the core, so no drops for nothing."""

    def story(place: Street) -> None:
        daemon = place.start()
        with place.world.inside("br"):
            (link,) = show("ip", "-j", "-d", "addr", "show", "mape0")
            (joined,) = show("ip", "-j", "maddr", "show", "dev", "mape0")
        assert link["mtu"] == 1500
        assert link["addr_info"] == []
        # No reports are sent about these two; the group of all routers would make some.
        groups = {entry["address"] for entry in joined["maddr"] if entry["family"] == "inet6"}
        assert groups == {"ff02::1", "ff01::1"}
        place.send_up(A.port, b"x")
        assert place.server.recv(10) == b"x"
        daemon.signal(signal.SIGUSR1)
        wait_until(lambda: isinstance(daemon.events()[-1], Note), "the counters")
        note = daemon.events()[-1]
        assert isinstance(note, Note)
        assert '"received": 1,' in note.text
        daemon.end()

    in_street(tmp_path, story)


def test_a_wrong_configuration_ends_it_with_one_clear_error(tmp_path: Path) -> None:
    def story(place: Street) -> None:
        path = tmp_path / "br.json"
        path.write_text('{"adress": "2001:db8::1"}')
        daemon = Daemon(place.world, "br", "br", path, "")
        assert daemon.process.wait(20) == 1
        assert "address is missing" in daemon.errors()
        assert "hint: there is 'adress': did you mean 'address'?" in daemon.errors()
        assert "Traceback" not in daemon.errors()

    in_street(tmp_path, story)


def test_a_node_that_does_not_forward_is_refused() -> None:
    def work() -> str:
        namespaces.new_network()
        with pytest.raises(TestbedError) as caught:
            Interface.create(InterfacePlan(1500, ()))
        return str(caught.value)

    text = in_new_network(work)
    assert "does not forward" in text or "ip_forward" in text


def test_a_second_device_of_the_same_name_is_refused() -> None:
    def work() -> str:
        require_tun()
        with TunDevice.create("mape0"), pytest.raises(TestbedError) as caught:
            TunDevice.create("mape0")
        return str(caught.value)

    text = in_new_network(work)
    assert "cannot make the TUN device mape0" in text
    assert "hint: another process has a device of that name" in text


def test_names_no_interface_can_have() -> None:
    for name in ("", "a-name-of-sixteen"):
        with pytest.raises(TestbedError, match="cannot be the name"):
            TunDevice.create(name)
