"""Links we make, judged by what ``ip`` reads back."""

from __future__ import annotations

from typing import Any

import pytest
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

from testbed.errors import KernelError
from testbed.kernel import libc, links, state
from testbed.kernel.netlink_codec import message
from testbed.kernel.rtnl import RouteSocket
from testbed.kernel.state import LinkState
from tests.kernel.in_netns import here, in_new_network, new_network, show

pytestmark = pytest.mark.needs_root


def _links() -> dict[str, Any]:
    return {link["ifname"]: link for link in show("ip", "-j", "-d", "link")}


def test_a_veth_pair_has_each_end_where_and_as_asked() -> None:
    def work() -> tuple[Any, ...]:
        middle = here()
        with RouteSocket() as kernel:
            left = new_network()
            right = new_network()
            libc.setns(middle)
            kernel.run(
                links.veth(
                    links.VethEnd("wan", 10, left, "02:00:00:00:00:0a", 1460, group=5),
                    links.VethEnd("lan", 11, right, "02:00:00:00:00:0b", 9000, txqlen=77),
                    up=True,
                )
            )
        seen = [_links()]
        for namespace in (left, right):
            libc.setns(namespace)
            seen.append(_links())
        return tuple(seen)

    middle, left, right = in_new_network(work)
    assert set(middle) == {"lo"}
    assert set(left) == {"lo", "wan"}
    assert set(right) == {"lo", "lan"}
    wan, lan = left["wan"], right["lan"]
    assert wan["linkinfo"]["info_kind"] == lan["linkinfo"]["info_kind"] == "veth"
    assert (wan["ifindex"], wan["address"], wan["mtu"], wan["group"]) == (
        10,
        "02:00:00:00:00:0a",
        1460,
        "5",
    )
    assert (lan["ifindex"], lan["address"], lan["mtu"], lan["txqlen"]) == (
        11,
        "02:00:00:00:00:0b",
        9000,
        77,
    )
    assert wan["link_index"] == 11
    assert lan["link_index"] == 10
    assert "UP" in wan["flags"]
    assert "UP" not in lan["flags"]


def test_a_veth_request_reads_the_same_to_another_decoder() -> None:
    request = links.veth(
        links.VethEnd("wan", 10, 33, "02:00:00:00:00:0a", 1460),
        links.VethEnd("lan", 11, 34, "02:00:00:00:00:0b", 9000),
    )
    decoded = ifinfmsg(message(request.kind, request.flags, 1, request.body))
    decoded.decode()
    assert decoded["index"] == 10
    assert decoded.get_attr("IFLA_IFNAME") == "wan"
    assert decoded.get_attr("IFLA_NET_NS_FD") == 33
    assert decoded.get_attr("IFLA_ADDRESS") == "02:00:00:00:00:0a"
    info = decoded.get_attr("IFLA_LINKINFO")
    assert info.get_attr("IFLA_INFO_KIND") == "veth"
    peer = info.get_attr("IFLA_INFO_DATA").get_attr("VETH_INFO_PEER")
    assert peer["index"] == 11
    assert peer.get_attr("IFLA_IFNAME") == "lan"
    assert peer.get_attr("IFLA_NET_NS_FD") == 34
    assert peer.get_attr("IFLA_MTU") == 9000


def test_a_bridge_is_a_plain_switch_and_takes_ports() -> None:
    def work() -> tuple[Any, Any]:
        with RouteSocket() as kernel:
            kernel.queue(
                links.bridge("br0", index=5, mac="02:00:00:00:00:05", up=True, ageing_s=60),
                links.veth(links.VethEnd("p1", 10), links.VethEnd("h1", 11), up=True, master=5),
                links.veth(links.VethEnd("p2", 12), links.VethEnd("h2", 13)),
                links.change(12, master=5, up=True),
            )
            kernel.flush()
            before = _links()
            kernel.run(links.change(12, master=0))
            return before, _links()

    before, after = in_new_network(work)
    data = before["br0"]["linkinfo"]["info_data"]
    assert data["stp_state"] == 0
    assert data["mcast_snooping"] == 0
    assert data["ageing_time"] == 6000
    assert before["br0"]["address"] == "02:00:00:00:00:05"
    assert before["p1"]["master"] == before["p2"]["master"] == "br0"
    assert "master" not in after["p2"]


def test_every_property_can_be_changed() -> None:
    def work() -> tuple[Any, Any, Any]:
        origin = here()
        beyond = new_network()
        libc.setns(origin)
        with RouteSocket() as kernel:
            kernel.queue(
                links.veth(links.VethEnd("a", 10), links.VethEnd("b", 11)),
                links.change("a", mtu=1400, txqlen=9, group=3, mac="02:00:00:00:00:01"),
                links.change("a", alias="home A, wan"),
                links.change(10, up=True),
                links.change(11, name="eth0", netns_fd=beyond),
            )
            kernel.flush()
            changed = _links()
            kernel.run(links.change("a", up=False))
            down = _links()
        libc.setns(beyond)
        return changed, down, _links()

    changed, down, beyond = in_new_network(work)
    link = changed["a"]
    assert (link["mtu"], link["txqlen"], link["group"]) == (1400, 9, "3")
    assert (link["address"], link["ifalias"]) == ("02:00:00:00:00:01", "home A, wan")
    assert "UP" in link["flags"]
    assert "UP" not in down["a"]["flags"]
    assert set(beyond) == {"lo", "eth0"}


def test_the_kernels_link_local_address_can_be_left_out() -> None:
    def work() -> dict[str, int]:
        with RouteSocket() as kernel:
            kernel.queue(
                links.veth(links.VethEnd("a", 10), links.VethEnd("b", 11)),
                links.change(10, link_local=False),
                links.change(10, up=True),
                links.change(11, up=True),
            )
            kernel.flush()
            kernel.settle((10, 11))
        shown = show("ip", "-j", "-6", "addr", "show", "scope", "link")
        return {link["ifname"]: len(link["addr_info"]) for link in shown if link}

    assert in_new_network(work) == {"b": 1}


def test_deleting_one_end_deletes_both() -> None:
    def work() -> list[str]:
        with RouteSocket() as kernel:
            kernel.run(links.veth(links.VethEnd("a", 10), links.VethEnd("b", 11)))
            kernel.run(links.delete(10))
            kernel.run(links.bridge("br0"))
            kernel.run(links.delete("br0"))
        return list(_links())

    assert in_new_network(work) == ["lo"]


def test_a_second_link_of_the_same_name_is_refused() -> None:
    def work() -> str:
        with RouteSocket() as kernel:
            kernel.run(links.bridge("br0"))
            with pytest.raises(KernelError) as caught:
                kernel.run(links.bridge("br0"))
        return str(caught.value)

    text = in_new_network(work)
    assert "could not create the bridge link br0: File exists" in text
    assert "hint: something of that name" in text


def test_the_dump_tells_what_ip_tells() -> None:
    def work() -> tuple[list[LinkState], list[str], dict[str, Any]]:
        with RouteSocket() as kernel:
            kernel.queue(
                links.bridge("br0", index=5, up=True),
                links.veth(links.VethEnd("a", 10), links.VethEnd("b", 11), up=True, master=5),
                links.change(11, mtu=1300, group=4, up=True),
            )
            kernel.flush()
            kernel.settle((5, 10, 11))
            found = kernel.links()
            bodies = [kernel.get(state.one_link(link.index)).body for link in found]
            return found, [state.parse_operstate(body) for body in bodies], _links()

    ours, operstates, theirs = in_new_network(work)
    assert [link.name for link in ours] == list(theirs)
    assert operstates == [link.operstate for link in ours]
    assert set(operstates) == {"up", "down"}  # the loopback is down
    for link in ours:
        judge = theirs[link.name]
        assert link.index == judge["ifindex"]
        assert link.kind == judge.get("linkinfo", {}).get("info_kind", "")
        assert link.up == ("UP" in judge["flags"])
        assert link.running == ("LOWER_UP" in judge["flags"])
        assert link.operstate == judge["operstate"].lower()
        assert link.mtu == judge["mtu"]
        assert link.mac == judge["address"]
        assert (link.master == 5) == (judge.get("master") == "br0")
        assert str(link.group) == judge["group"].replace("default", "0")
    by_name = {link.name: link for link in ours}
    assert by_name["a"].parent == 11
    assert by_name["b"].parent == 10


def test_bad_arguments_are_refused_before_the_kernel_sees_them() -> None:
    with pytest.raises(ValueError, match="not a MAC address"):
        links.mac_bytes("02:00:00:00:00")
    with pytest.raises(ValueError, match="by its index"):
        links.change("a", name="b")
