"""Batches against the real kernel: order, errors, size limits."""

from __future__ import annotations

import errno
import select
import socket

import pytest

from testbed.errors import KernelError, MissingFeatureError
from testbed.kernel import addresses, libc, links, netlink, routes
from testbed.kernel.rtnl import RouteSocket
from tests.kernel.in_netns import here, in_new_network, new_network, show

pytestmark = pytest.mark.needs_root


def test_a_long_line_of_operations_all_happen() -> None:
    def work() -> int:
        with RouteSocket() as kernel:
            kernel.queue(links.change("lo", up=True))
            for number in range(4000):
                prefix = f"10.{number >> 8}.{number & 255}.0/24"
                kernel.queue(routes.add_route(prefix, kind="blackhole"))
            kernel.flush()
        return len(show("ip", "-j", "route", "show", "type", "blackhole"))

    assert in_new_network(work) == 4000


@pytest.mark.parametrize("buffer", [1, 50_000, 1 << 20])
def test_answers_never_overflow_the_receive_buffer(
    buffer: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every message of a full batch fails, with text: the most answers that can come."""
    monkeypatch.setattr(netlink, "_WANTED_RECEIVE_BUFFER", buffer)

    def work() -> tuple[str, int, str]:
        with RouteSocket("node r1") as kernel:
            for number in range(1500):
                kernel.queue(routes.add_route(f"10.9.{number % 256}.0/24", via="192.0.2.1"))
            with pytest.raises(KernelError) as caught:
                kernel.flush()
            kernel.run(links.change("lo", up=True))  # the socket is still in step
            return str(caught.value), kernel._batch_messages, kernel.links()[0].name

    error, batch, name = in_new_network(work, user_namespace=True)
    assert error.startswith("node r1: could not add the route to 10.9.0.0/24 via 192.0.2.1: Net")
    if batch > 1:  # all answers of the batch arrived
        assert f"; {batch - 1} more operation" in error
    assert "hint: the gateway must be reachable" in error
    assert name == "lo"


def test_the_operation_at_fault_is_named() -> None:
    def work() -> str:
        with RouteSocket("node r1") as kernel:
            kernel.queue(
                links.change("lo", up=True),
                addresses.add_address(1, "192.0.2.1/24"),
                addresses.add_address(77, "192.0.2.2/24"),
                addresses.add_address(1, "192.0.2.3/24"),
            )
            with pytest.raises(KernelError) as caught:
                kernel.flush()
        return str(caught.value)

    text = in_new_network(work)
    assert text.startswith(
        "node r1: could not add the address 192.0.2.2/24 to interface number 77: No such device"
    )
    assert "more operation" not in text


def test_ignored_errors_count_as_success() -> None:
    def work() -> None:
        with RouteSocket() as kernel:
            kernel.run(links.delete("nothere").ignoring(errno.ENODEV))
            with pytest.raises(KernelError, match="could not delete interface nothere"):
                kernel.run(links.delete("nothere"))

    in_new_network(work)


def test_an_unknown_kind_of_link_says_what_provides_it() -> None:
    def work() -> tuple[str, bool]:
        with RouteSocket("node r1") as kernel, pytest.raises(KernelError) as caught:
            kernel.run(links.create("nosuchkind", "x0"))
        return str(caught.value), isinstance(caught.value, MissingFeatureError)

    text, missing = in_new_network(work)
    assert missing
    assert "could not create the nosuchkind link x0: Operation not supported" in text
    assert "Unknown device type" in text


def test_without_privilege_the_error_says_so() -> None:
    def work() -> str:
        with RouteSocket() as kernel:
            libc.unshare(libc.CLONE_NEWUSER)  # no longer privileged over the network namespace
            with pytest.raises(KernelError) as caught:
                kernel.run(links.change("lo", up=True))
            return str(caught.value)

    text = in_new_network(work)
    assert "Operation not permitted" in text
    assert "CAP_NET_ADMIN" in text


def test_a_socket_stays_in_the_namespace_it_was_made_in() -> None:
    def work() -> tuple[list[str], list[str]]:
        first = here()
        with RouteSocket() as kernel:
            kernel.run(links.bridge("br0"))
            new_network()
            kernel.run(links.bridge("br1"))
            beyond = [link["ifname"] for link in show("ip", "-j", "link")]
            libc.setns(first)
            return beyond, [link["ifname"] for link in show("ip", "-j", "link")]

    beyond, first = in_new_network(work)
    assert beyond == ["lo"]
    assert first == ["lo", "br0", "br1"]


def test_settled_links_carry_the_very_first_frame() -> None:
    def work() -> int:
        with RouteSocket() as kernel:
            carried = 0
            for number in range(10, 70, 2):
                near, far = f"a{number}", f"b{number}"
                kernel.run(
                    links.veth(links.VethEnd(near, number), links.VethEnd(far, number + 1)),
                    links.change(number, up=True),
                    links.change(number + 1, up=True),
                )
                kernel.settle((number, number + 1))
                with (
                    socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sender,
                    socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as receiver,
                ):
                    sender.bind((near, 0x88B5))
                    receiver.bind((far, 0x88B5))
                    sender.send(b"\xff" * 6 + bytes(6) + b"\x88\xb5" + bytes(50))
                    carried += bool(select.select([receiver], [], [], 5)[0])
            return carried

    assert in_new_network(work) == 30


def test_a_link_without_carrier_does_not_settle() -> None:
    def work() -> str:
        with RouteSocket("node r1") as kernel:
            kernel.run(links.veth(links.VethEnd("a", 10), links.VethEnd("b", 11)))
            kernel.run(links.change(10, up=True))
            with pytest.raises(KernelError) as caught:
                kernel.settle((10,), timeout_s=0.01)
        return str(caught.value)

    text = in_new_network(work)
    assert text.startswith("node r1: interface a has no carrier after 0.01 s")
    assert "hint: is the other end" in text


def test_one_link_is_looked_at() -> None:
    def work() -> tuple[bool, str]:
        with RouteSocket() as kernel:
            kernel.run(links.bridge("br0", index=7))
            same = kernel.link(7) == next(link for link in kernel.links() if link.index == 7)
            with pytest.raises(KernelError, match="look at interface number 99"):
                kernel.link(99)
            return same, kernel.link(1).name

    assert in_new_network(work) == (True, "lo")


def test_a_thousand_links_in_one_flush() -> None:
    def work() -> int:
        with RouteSocket() as kernel:
            for number in range(1000):
                kernel.queue(
                    links.veth(
                        links.VethEnd(f"a{number}", 10 + 2 * number),
                        links.VethEnd(f"b{number}", 11 + 2 * number),
                    )
                )
            kernel.flush()
            return len(kernel.links())

    assert in_new_network(work) == 2001
