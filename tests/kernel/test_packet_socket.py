"""Capture sockets on real interfaces, and the offloads that decide what they see."""

from __future__ import annotations

import fcntl
import os
import select
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from testbed.errors import KernelError, MissingFeatureError
from testbed.kernel import addresses, libc, links, packet_filter
from testbed.kernel.namespaces import find_program
from testbed.kernel.offload import offload, set_offload
from testbed.kernel.packet_filter import FilterError, compile_filter
from testbed.kernel.packet_socket import ETHERNET, RAW, Frame, PacketSocket
from testbed.kernel.rtnl import RouteSocket
from tests.kernel.in_netns import here, in_new_network, new_network

pytestmark = pytest.mark.needs_root

needs_tcpdump = pytest.mark.skipif(find_program("tcpdump") is None, reason="tcpdump is missing")
needs_tun = pytest.mark.skipif(
    not os.access("/dev/net/tun", os.R_OK | os.W_OK), reason="this user may not open /dev/net/tun"
)

TEST_TYPE = 0x88B5  # IEEE 802 local experimental EtherType
MAC_A, MAC_B = "02:00:00:00:00:0a", "02:00:00:00:00:0b"


def silence_ipv6() -> None:
    """No neighbour discovery in links made from now on."""
    Path("/proc/sys/net/ipv6/conf/default/disable_ipv6").write_text("1")


def make_pair() -> None:
    """Two veth ends, a and b, up and silent, in the present namespace."""
    silence_ipv6()
    with RouteSocket() as kernel:
        kernel.run(
            links.change("lo", up=True),
            links.veth(
                links.VethEnd("a", 10, mac=MAC_A), links.VethEnd("b", 11, mac=MAC_B), up=True
            ),
            links.change(11, up=True),
        )
        kernel.settle((10, 11))


# Of sockets on one interface the one opened first is handed a frame last.


@contextmanager
def sender(interface: str) -> Iterator[socket.socket]:
    """A socket that sends whole frames."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as raw:
        raw.bind((interface, TEST_TYPE))
        yield raw


def a_frame(payload: bytes, kind: int = TEST_TYPE) -> bytes:
    """A frame from a to b."""
    macs = MAC_B + MAC_A
    return bytes.fromhex(macs.replace(":", "")) + struct.pack("!H", kind) + payload


def receive(capture: PacketSocket, count: int) -> list[Frame]:
    """Wait for frames: a busy machine delivers them some time after they are sent."""
    frames: list[Frame] = []
    deadline = time.monotonic() + 30
    while len(frames) < count and time.monotonic() < deadline:
        select.select([capture], [], [], 0.1)
        frames += capture.receive_many(count - len(frames))
    return frames


def test_both_ends_see_a_frame_with_direction_and_time() -> None:
    def work() -> tuple[list[Frame], list[Frame], int, int, Any]:
        make_pair()
        with PacketSocket("a") as near, PacketSocket("b") as far, sender("a") as raw:
            before = time.time_ns()
            for number in range(3):
                raw.send(a_frame(bytes([number]) * 50))
            after = time.time_ns()
            frames = receive(near, 3), receive(far, 3)
            assert near.receive_many() == []
            return *frames, before, after, (near.counts(), near.counts(), near.link_type)

    near, far, before, after, (counts, again, link_type) = in_new_network(work)
    expected = [a_frame(bytes([number]) * 50) for number in range(3)]
    assert [frame.data for frame in near] == [frame.data for frame in far] == expected
    assert all(frame.outgoing for frame in near)
    assert not any(frame.outgoing for frame in far)
    assert counts == again == (3, 0)
    assert link_type == ETHERNET
    # The kernel switches its stamps on a little after the first socket asks for them; until then
    # the time of reading stands in.  Either is not before the sending.
    assert all(frame.time_ns >= before for frame in near + far)
    assert near[0].time_ns < after + 1_000_000_000


def test_a_long_frame_is_cut_and_its_length_told() -> None:
    def work() -> list[Frame]:
        make_pair()
        with PacketSocket("b", snap_length=60) as far, sender("a") as raw:
            raw.send(a_frame(bytes(500)))
            return receive(far, 1)

    (frame,) = in_new_network(work)
    assert len(frame.data) == 60
    assert frame.length == 514


def test_at_most_the_asked_number_of_frames_is_returned() -> None:
    def work() -> list[int]:
        make_pair()
        with PacketSocket("b") as last, PacketSocket("b") as far, sender("a") as raw:
            for _ in range(5):
                raw.send(a_frame(bytes(50)))
            receive(last, 5)
            return [len(far.receive_many(2)) for _ in range(4)]

    assert in_new_network(work) == [2, 2, 1, 0]


def test_a_vlan_tag_the_kernel_took_out_is_put_back() -> None:
    tagged = a_frame(struct.pack("!HH", 0x6005, TEST_TYPE) + bytes(50), 0x8100)
    service_tagged = a_frame(struct.pack("!HH", 7, TEST_TYPE) + bytes(50), 0x88A8)

    def work() -> list[Frame]:
        make_pair()
        with PacketSocket("b") as far, sender("a") as raw:
            raw.send(tagged)
            raw.send(service_tagged)
            return receive(far, 2)

    frames = in_new_network(work)
    assert [frame.data for frame in frames] == [tagged, service_tagged]
    assert [frame.length for frame in frames] == [len(tagged), len(service_tagged)]


def test_the_loopback_shows_each_packet_once() -> None:
    def work() -> list[Frame]:
        make_pair()
        with (
            PacketSocket("lo") as loopback,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver,
        ):
            receiver.bind(("127.0.0.1", 0))
            for _ in range(2):
                udp.sendto(b"once", receiver.getsockname())
            return receive(loopback, 2) + loopback.receive_many()

    (frame, _) = in_new_network(work)
    assert frame.data.endswith(b"once")
    assert not frame.outgoing


@needs_tun
def test_a_tun_interface_shows_bare_ip_packets() -> None:
    def work() -> tuple[list[Frame], int, bytes]:
        silence_ipv6()
        tun = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
        fcntl.ioctl(tun, 0x400454CA, struct.pack("16sH22x", b"tun0", 0x0001 | 0x1000))
        with RouteSocket() as kernel:
            index = next(link.index for link in kernel.links() if link.name == "tun0")
            kernel.run(addresses.add_address(index, "192.0.2.1/24"), links.change(index, up=True))
        with (
            PacketSocket("tun0") as capture,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        ):
            udp.sendto(b"hello", ("192.0.2.2", 9))
            read = os.read(tun, 2000)
            os.write(tun, read)
            return receive(capture, 2), capture.link_type, read

    frames, link_type, read = in_new_network(work)
    assert link_type == RAW
    assert [(frame.outgoing, frame.data) for frame in frames] == [(True, read), (False, read)]
    assert read[0] == 0x45


@needs_tcpdump
def test_a_filter_lets_only_matching_frames_in() -> None:
    program = compile_filter(f"ether proto {TEST_TYPE} and len > 100", ETHERNET)

    def work() -> list[int]:
        make_pair()
        with PacketSocket("b", program=program) as far, sender("a") as raw:
            for size in (10, 300, 20, 400):
                raw.send(a_frame(bytes(size)))
            raw.send(a_frame(bytes(500), 0x88B6))
            raw.send(a_frame(bytes(500)))
            return [frame.length for frame in receive(far, 3)]

    assert in_new_network(work) == [314, 414, 514]


@needs_tcpdump
def test_a_bad_filter_is_refused_with_tcpdumps_reason() -> None:
    with pytest.raises(FilterError, match=r"'udp prt 53' is not valid: .*syntax error"):
        compile_filter("udp prt 53", ETHERNET)
    with pytest.raises(FilterError):
        compile_filter("-w /nowhere", ETHERNET)


def test_a_missing_tcpdump_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packet_filter, "find_program", lambda name: None)
    with pytest.raises(MissingFeatureError, match="Debian package tcpdump"):
        compile_filter("udp", ETHERNET)


def test_after_ceasing_what_waits_can_be_read_and_no_more_comes() -> None:
    def work() -> tuple[int, int]:
        make_pair()
        with PacketSocket("b") as last, PacketSocket("b") as far, sender("a") as raw:
            raw.send(a_frame(bytes(50)))
            receive(last, 1)
            far.cease()
            raw.send(a_frame(bytes(50)))
            receive(last, 1)
            return len(far.receive_many()), len(far.receive_many())

    assert in_new_network(work) == (1, 0)


def test_frames_the_kernel_could_not_hold_are_counted() -> None:
    def work() -> tuple[int, tuple[int, int]]:
        make_pair()
        with (
            PacketSocket("b") as last,
            PacketSocket("b", buffer=4096) as far,
            sender("a") as raw,
        ):
            for _ in range(200):
                raw.send(a_frame(bytes(1000)))
            receive(last, 200)
            return len(far.receive_many(1000)), far.counts()

    read, (received, lost) = in_new_network(work)
    assert received == 200
    assert lost > 0
    assert read + lost == 200


def test_an_interface_that_goes_is_no_error() -> None:
    def work() -> tuple[int, int, int]:
        make_pair()
        with (
            RouteSocket() as kernel,
            PacketSocket("b") as far,
            sender("a") as raw,
        ):
            raw.send(a_frame(bytes(50)))
            first = len(receive(far, 1))
            kernel.run(links.change(11, up=False))
            assert far.receive_many() == []
            kernel.run(links.change(11, up=True))
            kernel.settle((10, 11))
            raw.send(a_frame(bytes(50)))
            second = len(receive(far, 1))
            kernel.run(links.delete(11))
            return first, second, len(far.receive_many())

    assert in_new_network(work) == (1, 1, 0)


def test_errors_say_what_is_wrong() -> None:
    def work() -> list[str]:
        texts = []
        with pytest.raises(KernelError) as caught:
            PacketSocket("nothere", where="home:nothere")
        texts.append(str(caught.value))
        libc.unshare(libc.CLONE_NEWUSER)
        with pytest.raises(KernelError) as caught:
            PacketSocket("lo")
        texts.append(str(caught.value))
        return texts

    missing, forbidden = in_new_network(work)
    assert missing.startswith("home:nothere: could not capture on nothere: No such device")
    assert "CAP_NET_RAW" in forbidden


def _two_hosts() -> tuple[int, int]:
    """Two namespaces joined by a veth pair, 192.0.2.1 and .2; returns their descriptors."""
    silence_ipv6()
    left = here()
    with RouteSocket() as near:
        right = new_network()
        silence_ipv6()
        with RouteSocket() as far:
            near.run(
                links.veth(
                    links.VethEnd("a", 10, left, MAC_A), links.VethEnd("b", 10, right, MAC_B)
                ),
                links.change(10, up=True),
                addresses.add_address(10, "192.0.2.1/24"),
                addresses.add_neighbour(10, "192.0.2.2", MAC_B),
            )
            far.run(
                links.change(10, up=True),
                addresses.add_address(10, "192.0.2.2/24"),
                addresses.add_neighbour(10, "192.0.2.1", MAC_A),
            )
            near.settle((10,))
            far.settle((10,))
    return left, right


def _tcp_frames(left: int, right: int) -> list[Frame]:
    """What left sends when it has 60 kB for right over TCP."""
    libc.setns(right)
    with socket.create_server(("192.0.2.2", 80)) as listening:
        libc.setns(left)
        with PacketSocket("a") as capture, socket.create_connection(("192.0.2.2", 80)) as client:
            server, _ = listening.accept()
            with server:
                client.sendall(bytes(60_000))
                left_over = 60_000
                while left_over:
                    left_over -= len(server.recv(left_over))
                return [frame for frame in capture.receive_many(1000) if frame.outgoing]


def _checksum_is_whole(frame: Frame) -> bool:
    """Whether the TCP checksum of an Ethernet frame with a plain IPv4 header is right."""
    packet = frame.data[14:]
    segment = packet[20:]
    pseudo = packet[12:20] + struct.pack("!HH", 6, len(segment))
    data = pseudo + segment + bytes(len(segment) % 2)
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total == 0xFFFF


def test_without_offloads_frames_are_as_on_a_wire() -> None:
    def work() -> tuple[list[Frame], list[Frame], dict[str, bool], dict[str, bool]]:
        left, right = _two_hosts()
        before = _tcp_frames(left, right)
        first = offload("a")
        set_offload("a", tx_checksum=False)
        return before, _tcp_frames(left, right), first, offload("a")

    before, after, first, second = in_new_network(work)
    assert first["tx_checksum"]
    assert first["tso"]
    assert any(frame.length > 1514 for frame in before)
    assert [frame.checksum_pending for frame in before] == [
        not _checksum_is_whole(frame) for frame in before
    ]
    assert any(frame.checksum_pending for frame in before)
    assert not second["tx_checksum"]
    assert not second["tso"]
    assert all(frame.length <= 1514 for frame in after)
    assert not any(frame.checksum_pending for frame in after)
    assert all(_checksum_is_whole(frame) for frame in after)


def test_offloads_can_be_set_one_by_one() -> None:
    def work() -> tuple[dict[str, bool], dict[str, bool]]:
        make_pair()
        set_offload("a", gso=False, gro=True, tso=False)
        first = offload("a")
        set_offload("a", gso=True, gro=False, tso=True)
        return first, offload("a")

    first, second = in_new_network(work)
    assert (first["gso"], first["gro"], first["tso"], first["tx_checksum"]) == (
        False,
        True,
        False,
        True,
    )
    assert (second["gso"], second["gro"], second["tso"]) == (True, False, True)


def test_offload_errors_say_what_is_wrong() -> None:
    def work() -> list[str]:
        texts = []
        for attempt in (lambda: offload("nothere"), lambda: set_offload("nothere", gro=True)):
            with pytest.raises(KernelError) as caught:
                attempt()
            texts.append(str(caught.value))
        return texts

    reading, setting = in_new_network(work)
    assert "could not read the offload settings of nothere: No such device" in reading
    assert "could not turn gro on on nothere" in setting
