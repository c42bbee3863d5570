"""The Python builder: what it makes, and whose line its problems name."""

from __future__ import annotations

import inspect
from ipaddress import ip_interface, ip_network
from pathlib import Path

import pytest

from testbed.errors import TopologyError
from testbed.model import (
    Builder,
    Fault,
    Impairment,
    Interface,
    Link,
    Node,
    Route,
    Service,
    Topology,
)
from testbed.model.topology import ROUTER, SWITCH


def test_it_makes_plain_data() -> None:
    lab = Builder("small", "A small lab", seed=3)
    lab.router("r", routes=["default via 192.0.2.2"], sysctls={"net.ipv4.ip_default_ttl": 32})
    lab.host("h", files={"/etc/motd": "hi"}, note="a host")
    lab.switch("sw")
    lab.link("up", "r:wan 192.0.2.1/24", Interface("h", "eth0", (ip_interface("192.0.2.2/24"),)))
    lab.link("down", "r:lan", "sw:p1", mtu=1400, impairment=Impairment(loss=0.1))
    lab.group("All", "r", "h")
    lab.fault(Fault("cut", "up"))
    assert lab.build() == Topology(
        "small",
        "A small lab",
        nodes=(
            Node(
                "r",
                ROUTER,
                routes=(Route(ip_network("0.0.0.0/0"), via="192.0.2.2"),),
                sysctls=(("net.ipv4.ip_default_ttl", "32"),),
            ),
            Node("h", files=(("/etc/motd", "hi"),), note="a host"),
            Node("sw", SWITCH),
        ),
        links=(
            Link(
                "up",
                (
                    Interface("r", "wan", (ip_interface("192.0.2.1/24"),)),
                    Interface("h", "eth0", (ip_interface("192.0.2.2/24"),)),
                ),
            ),
            Link(
                "down",
                (Interface("r", "lan"), Interface("sw", "p1")),
                mtu=1400,
                impairment=Impairment(loss=0.1),
            ),
        ),
        groups=(("All", ("r", "h")),),
        faults=(Fault("cut", "up"),),
        seed=3,
    )


def _here() -> int:
    frame = inspect.currentframe()
    assert frame is not None
    assert frame.f_back is not None
    return frame.f_back.f_lineno


def test_every_problem_names_the_line_that_added_the_thing() -> None:
    lab = Builder("lines")
    node = _here() + 1
    lab.router("r", routes=[Route(ip_network("10.0.0.0/8"))], services=[Service("s", ())])
    link = _here() + 1
    lab.link("l", Interface("r", "lo"), "r:eth0", mtu=1)
    group = _here() + 1
    lab.group("G", "nobody")
    fault = _here() + 1
    lab.fault(Fault("reboot", "nobody"))
    with pytest.raises(TopologyError) as caught:
        lab.build()
    places = {problem.code: problem.place for problem in caught.value.problems}
    lines = {code: place.line for code, place in places.items() if place is not None}
    assert lines == {
        "route-without-target": node,
        "empty-command": node,
        "bad-mtu": link,
        "reserved-name": link,
        "unknown-node": group,
        "unknown-target": fault,
    }
    files = {Path(place.file).name for place in places.values() if place is not None}
    assert files == {Path(__file__).name}


def test_places_are_told_relative_to_the_working_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def place() -> str:
        lab = Builder("where")
        with pytest.raises(TopologyError) as caught:
            lab.host("not a name")
            lab.build()
        found = caught.value.problems[0].place
        assert found is not None
        return found.file

    monkeypatch.chdir(Path(__file__).parent)
    assert place() == Path(__file__).name
    monkeypatch.chdir(tmp_path)
    assert place() == __file__


def test_nothing_malformed_hides_what_else_is_wrong() -> None:
    lab = Builder("both")
    lab.host("bad name", routes=["nonsense"])
    lab.link("l", "no colon", "x:eth0 192.0.2.1", mtu=1)
    with pytest.raises(TopologyError) as caught:
        lab.build()
    assert [problem.code for problem in caught.value.problems] == [
        "bad-route",
        "bad-name",
        "bad-end",
        "bad-address",
        "bad-mtu",
        "unknown-node",
    ]
