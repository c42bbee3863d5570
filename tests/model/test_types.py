"""Python authors can put anything anywhere: validation names it and never crashes."""

from __future__ import annotations

import dataclasses
from ipaddress import ip_network
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.errors import Place
from testbed.model import Fault, Impairment, Interface, Link, Node, Ready, Route, Service, Topology
from testbed.model.validate import validate
from tests.model.rich import RICH

_PARTS = (Topology, Node, Link, Interface, Route, Service, Ready, Impairment, Fault)
anything: st.SearchStrategy[Any] = st.sampled_from(
    [
        *(None, True, 0, -1, 10**40, 1.5, float("nan"), float("inf"), float("-inf")),
        *("", "x", "\0", "\ud800", "é" * 20, "a:b", b"bytes"),
        *((), ("x",), ("",), (("k", "v"),), (("k",),), [], ["x"], {}, {"k": "v"}, {1}),
        *(Impairment(), Ready(), Node("n"), Service("s", ("x",)), Interface("n", "i"), object()),
        *(ip_network("192.0.2.0/24"), Route(ip_network("::/0")), Link("l", ())),
    ]
)


def _replace_somewhere(value: Any, data: st.DataObject) -> Any:
    """The value with one field, somewhere inside, holding something else."""
    names = [field.name for field in dataclasses.fields(value)]
    name = data.draw(st.sampled_from(names))
    inner = getattr(value, name)
    if isinstance(inner, tuple) and inner and data.draw(st.booleans()):
        index = data.draw(st.integers(0, len(inner) - 1))
        item = inner[index]
        if isinstance(item, _PARTS) and data.draw(st.booleans()):
            changed = _replace_somewhere(item, data)
        else:
            changed = data.draw(anything)
        return dataclasses.replace(value, **{name: (*inner[:index], changed, *inner[index + 1 :])})
    if isinstance(inner, _PARTS) and data.draw(st.booleans()):
        return dataclasses.replace(value, **{name: _replace_somewhere(inner, data)})
    return dataclasses.replace(value, **{name: data.draw(anything)})


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_validation_never_crashes(data: st.DataObject) -> None:
    changed = RICH
    for _ in range(data.draw(st.integers(1, 3))):
        changed = _replace_somewhere(changed, data)
    for problem in validate(changed):
        assert str(problem)


def _wrong(topology: Topology) -> list[str]:
    return [f"{problem.code} {problem.path}" for problem in validate(topology)]


def test_wrong_types_are_named_by_path() -> None:
    service = Service("web", ["httpd"], Ready("tcp", 80))  # type: ignore[arg-type]  # the mistakes
    settings = (("net.ipv4.ip_forward", 1),)
    node = Node("a", services=(service,), sysctls=settings)  # type: ignore[arg-type]  # a mistake
    topology = Topology("types", nodes=(node,), seed=True)
    assert _wrong(topology) == [
        "wrong-type nodes.a.services.web.command",
        "wrong-type nodes.a.services.web.ready.value",
        "wrong-type nodes.a.sysctls[0]",
        "wrong-type seed",
    ]


def test_whole_numbers_are_numbers() -> None:
    link = Link(
        "l", (Interface("a", "x"), Interface("a", "y")), impairment=Impairment(delay=1, jitter=1)
    )
    assert _wrong(Topology("numbers", nodes=(Node("a"),), links=(link,))) == []


def test_the_nearest_place_is_used() -> None:
    place = Place("lab.py", 7)
    node = Node("a", services=(Service("s", None),), place=place)  # type: ignore[arg-type]
    (problem,) = validate(Topology("place", nodes=(node,)))
    assert problem.place == place


def test_a_part_without_a_place_has_that_of_what_it_is_in() -> None:
    """Only builders and files give places to everything; the author of plain objects may not."""
    node_place, link_place = Place("lab.py", 1), Place("lab.py", 2)
    node = Node(
        "a",
        routes=(Route(ip_network("10.0.0.0/8")),),
        services=(Service("s", ()),),
        place=node_place,
    )
    end = Interface("a", "x", mac="no", impairment=Impairment(loss=2.0))
    link = Link("l", (end, Interface("a", "lo")), place=link_place)
    problems = validate(Topology("lab", nodes=(node,), links=(link,)))
    assert {problem.code: problem.place for problem in problems} == {
        "route-without-target": node_place,
        "empty-command": node_place,
        "bad-mac": link_place,
        "bad-impairment": link_place,
        "reserved-name": link_place,
    }


def test_no_value_is_shown() -> None:
    """It may be a secret."""
    service = Service("ike", ("ike",), secrets=(b"correct-horse",))  # type: ignore[arg-type]
    (problem,) = validate(Topology("secret", nodes=(Node("a", services=(service,)),)))
    assert problem.code == "wrong-type"
    assert "correct" not in str(problem)
