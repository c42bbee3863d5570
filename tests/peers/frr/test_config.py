"""The configuration: FRR itself reads every line of it, and gives back what was meant."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from testbed.peers.frr.config import config_text, start_bfd
from testbed.peers.frr.router import (
    Bfd,
    Bgp,
    BgpNeighbor,
    FrrRouter,
    OspfInterface,
    RouterConfigError,
)
from testbed.peers.frr.service import frr_files, frr_services
from tests.peers.frr.routers import BORDER
from topologies.dual_stack_isp.core import USUAL, isp_routers
from topologies.dual_stack_isp.internet import outside_routers
from topologies.dual_stack_isp.topology import small_isp, the_isp

_DAEMONS = Path("/usr/lib/frr")


def _complaints(daemon: str, text: str, folder: Path) -> list[str]:
    """What the daemon says of lines that it does not understand, in a dry run."""
    if not (_DAEMONS / daemon).exists():
        pytest.skip("the program 'vtysh' is not installed (see testbed doctor)")
    if os.geteuid() != 0:
        pytest.skip("run as an ordinary user: no root")
    file, groups = folder / f"{daemon}.conf", folder / "group"
    file.write_text(text)
    groups.write_text(frr_files(BORDER)["/etc/group"])
    script = (
        'mount -t tmpfs none /run && mkdir /run/frr && mount --bind "$1" /etc/group && '
        'exec "$2" -C -u root -g root -f "$3"'
    )
    done = subprocess.run(
        [
            *("unshare", "--net", "--mount", "sh", "-c", script, "sh"),
            *(str(groups), str(_DAEMONS / daemon), str(file)),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    return re.findall(r".*No such command.*|.*[Uu]nknown.*|% .*", done.stdout + done.stderr)


@pytest.mark.parametrize("daemon", BORDER.daemons)
def test_frr_understands_every_line(daemon: str, tmp_path: Path) -> None:
    assert _complaints(daemon, config_text(BORDER, daemon), tmp_path) == []


def test_frr_would_say_so_if_it_did_not(tmp_path: Path) -> None:
    text = config_text(BORDER, "ospfd").replace("dead-interval", "alive-interval")
    complaints = "\n".join(_complaints("ospfd", text, tmp_path))
    wrong = {
        str(number) for number, line in enumerate(text.splitlines(), 1) if "alive-interval" in line
    }
    assert set(re.findall(r"on config line (\d+)", complaints)) == wrong
    assert len(wrong) == 2


@pytest.mark.parametrize("isp", [the_isp(), small_isp(USUAL)], ids=["whole", "ring"])
def test_both_ends_of_every_link_and_session_of_the_isp_fit(isp: object) -> None:
    """Each OSPF interface has its like, each session its other end, with the right AS numbers."""
    assert isinstance(isp, type(the_isp()))
    routers = {one.name: one for one in (*isp_routers(isp).values(), *outside_routers(isp))}
    for router in routers.values():
        for interface in router.ospf:
            other = {one.name: one for one in routers[interface.name].ospf}[router.name]
            assert replace(other, name="") == replace(interface, name="")
        assert router.bgp is not None
        for session in router.bgp.neighbors:
            other_bgp = routers[session.name].bgp
            assert other_bgp is not None
            assert other_bgp.asn == session.remote_as
            back = [
                one
                for one in other_bgp.neighbors
                if one.name in (router.name, "") and one.version == session.version
            ]
            assert [one.remote_as for one in back] == [router.bgp.asn]
            assert back[0].bfd == session.bfd
            assert not (back[0].client and session.client)


def test_each_daemon_gets_its_own_part() -> None:
    texts = {daemon: config_text(BORDER, daemon) for daemon in BORDER.daemons}
    assert list(texts) == ["zebra", "bfdd", "ospfd", "ospf6d", "bgpd"]
    assert " ip address 192.0.2.5/32" in texts["zebra"]
    assert " ipv6 address 3fff:5ff::5/128" in texts["zebra"]
    assert " ip ospf hello-interval 5" in texts["ospfd"]
    assert " ipv6 ospf6 dead-interval 20" in texts["ospf6d"]
    assert texts["ospfd"].count(" ip ospf passive") == 2, "the loopback and the office"
    assert " neighbor 203.0.113.129 remote-as 64501" in texts["bgpd"]
    assert "profile every-100-ms-4-times" in texts["bfdd"]


def test_nothing_is_told_to_a_neighbour_that_is_to_be_told_nothing() -> None:
    """A list of prefixes that is empty would let all pass."""
    text = config_text(BORDER, "bgpd")
    assert "route-map to-transit-a-v6 deny 10" in text
    assert "prefix-list to-transit-a-v6" not in text
    assert "ip prefix-list to-transit-a-v4 seq 1 permit 198.51.100.0/24" in text
    assert "3fff:500::/32" not in text.partition("ip prefix-list")[2], "each family its own"


def test_inside_an_as_there_is_no_policy() -> None:
    text = config_text(BORDER, "bgpd")
    assert "-p1-" not in text
    assert "  neighbor 3fff:5ff::3 route-reflector-client" in text
    assert "  neighbor 192.0.2.3 next-hop-self" in text


def test_a_router_without_ospf_and_bgp_is_only_zebra() -> None:
    assert FrrRouter("r", "192.0.2.1").daemons == ("zebra",)


def test_bfd_that_is_shut_can_be_started() -> None:
    assert "  shutdown" in config_text(BORDER, "bfdd")
    assert start_bfd(Bfd(300, 3, shut=True))[-1] == "no shutdown"
    assert "profile every-300-ms-3-times" in start_bfd(Bfd(300, 3, shut=True))


def test_the_services_start_one_after_the_other() -> None:
    services = frr_services(BORDER, {"192.0.2.3": "p1"})
    after = {service.name: service.after for service in services}
    assert after["zebra"] == ("br1/watch",)
    assert {name for name, first in after.items() if first == ("br1/zebra",)} == {
        *("bfdd", "ospfd", "ospf6d", "bgpd")
    }
    assert [service.ready.kind for service in services] == ["notify", *["file"] * 5]


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: OspfInterface("x", hello_s=10, dead_s=10), "a Hello every 10 s, and dead after"),
        (lambda: OspfInterface("x", cost=0), "a cost of 0"),
        (lambda: Bfd(5, 3), "BFD every 5 ms, 3 times"),
        (lambda: Bgp(0, ()), "no AS has the number 0"),
        (lambda: Bgp(64500, (), keepalive_s=180, hold_s=180), "does not fit a hold time of"),
        (lambda: Bgp(64500, (), ("198.51.100.1/24",)), "has host bits set"),
        (lambda: BgpNeighbor("pe1", 64500), "'pe1' does not appear to be an IPv4 or IPv6"),
        (lambda: BgpNeighbor("192.0.2.1", 2**32), "no AS has the number 4294967296"),
        (lambda: FrrRouter("r", "3fff::1"), "Expected 4 octets"),
        (lambda: FrrRouter("r", "192.0.2.1", ("nowhere",)), "'nowhere' does not appear to be"),
    ],
)
def test_what_cannot_be_is_refused(make: object, complaint: str) -> None:
    assert callable(make)
    with pytest.raises(RouterConfigError, match=re.escape(complaint)):
        make()


def test_the_programs_are_where_the_services_look_for_them() -> None:
    if shutil.which("vtysh") is None:
        pytest.skip("the program 'vtysh' is not installed (see testbed doctor)")
    assert all((_DAEMONS / daemon).exists() for daemon in BORDER.daemons)
