"""No second round: what is wrong elsewhere is told together with what could not be read.

A topology is spoilt in places (a value becomes something unreadable), and has mistakes in others.
Then nothing is reported that only the spoilt places cause, and every mistake is.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from testbed.errors import TopologyError
from testbed.model import Topology
from testbed.model.codec import from_dict, to_dict
from tests.model.strategies import topologies

Data = dict[str, Any]
Path = tuple[str | int, ...]

LABS = settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)


def _problems(data: Data) -> set[tuple[str, str]]:
    """Code and text of every problem (hints may list more or fewer names)."""
    try:
        from_dict(data)
    except TopologyError as error:
        return {(problem.code, problem.what) for problem in error.problems}
    return set()


def _places(value: Any, path: Path = ()) -> Iterator[Path]:
    """Every value below the top, but single entries of nothing."""
    if path:
        yield path
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, inner in items:
        yield from _places(inner, (*path, key))


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [*value, *(text for inner in value.values() for text in _texts(inner))]
    if isinstance(value, list):
        return [text for inner in value for text in _texts(inner)]
    return [value] if isinstance(value, str) else []


def _at(data: Data, path: Path) -> Any:
    value: Any = data
    for key in path:
        value = value[key]
    return value


def _spoil(data: Data, path: Path) -> None:
    """Nothing in the format is a list of lists of texts, so whatever stood there is unreadable."""
    _at(data, path[:-1])[path[-1]] = [[_texts(_at(data, path))]]


def _apart(paths: list[Path]) -> list[Path]:
    """Those that are not inside another."""
    return [
        path
        for path in dict.fromkeys(paths)
        if not any(other != path and path[: len(other)] == other for other in paths)
    ]


@st.composite
def spoilt(draw: st.DrawFn, least_depth: int = 1) -> tuple[Data, list[Path]]:
    """The data of a valid topology, and places to spoil in it."""
    topology: Topology = draw(topologies(max_nodes=4))
    data = to_dict(topology)
    places = [path for path in _places(data) if len(path) >= least_depth]
    chosen = draw(st.lists(st.sampled_from(places), min_size=1, max_size=3)) if places else []
    return data, _apart(chosen)


_FORM = {"wrong-type", "bad-end", "bad-quantity", "bad-key", "unknown-key"}


@settings(LABS, max_examples=30)
@given(spoilt())
def test_what_is_unreadable_causes_no_other_problem(case: tuple[Data, list[Path]]) -> None:
    data, places = case
    for path in places:
        _spoil(data, path)
    found = _problems(data)
    assert {code for code, _ in found} <= _FORM, found
    assert bool(found) == bool(places)


@settings(LABS, max_examples=25)
@given(spoilt(), st.data())
def test_an_unknown_key_causes_no_other_problem(
    case: tuple[Data, list[Path]], draw: st.DataObject
) -> None:
    """A key that means nothing may have been meant as any that is not there."""
    data, _ = case
    records = [
        path
        for path in _places(data)
        if isinstance(_at(data, path), dict) and path[-1] not in ("files", "env", "sysctls")
    ]
    records = [path for path in records if path not in (("nodes",), ("links",), ("groups",))]
    records = [path for path in records if path[-1] != "services" or len(path) != 3]
    record = _at(data, draw.draw(st.sampled_from([(), *records])))
    record["qqqqqqqq"] = record.pop(draw.draw(st.sampled_from(sorted(record)))) if record else 1
    codes = {code for code, _ in _problems(data)}
    assert codes <= {"unknown-key", "missing-key"}, codes
    assert codes


def _pair(data: Data, name: str, first: str, second: str, **link: Any) -> None:
    """Two further hosts on a cable."""
    for end in ("x", "y"):
        data["nodes"][f"{name}-{end}"] = {}
    ends = [f"{name}-x:eth0 {first}", f"{name}-y:eth0 {second}"]
    data.setdefault("links", {})[f"{name}-cable"] = {"ends": ends, **link}


def _overlap(data: Data) -> None:
    _pair(data, "mistake-overlap-a", "203.0.114.1/24", "203.0.114.2/24")
    _pair(data, "mistake-overlap-b", "203.0.114.3/25", "203.0.114.4/25")


def _mtus(data: Data) -> None:
    data["nodes"]["mistake-switch"] = {"role": "switch"}
    for number, mtu in enumerate((1500, 1400)):
        data["nodes"][f"mistake-station-{number}"] = {}
        ends = [f"mistake-switch:p{number}", f"mistake-station-{number}:eth0"]
        data.setdefault("links", {})[f"mistake-port-{number}"] = {"ends": ends, "mtu": mtu}


def _loop(data: Data) -> None:
    for name in ("mistake-loop-a", "mistake-loop-b"):
        data["nodes"][name] = {"role": "switch"}
    for number in range(2):
        ends = [f"mistake-loop-a:p{number}", f"mistake-loop-b:p{number}"]
        data.setdefault("links", {})[f"mistake-loop-{number}"] = {"ends": ends}


def _circle(data: Data) -> None:
    services = {
        name: {"command": ["true"], "after": [f"mistake-circle/{other}"]}
        for name, other in (("one", "two"), ("two", "one"))
    }
    data["nodes"]["mistake-circle"] = {"services": services}


def _no_next_hop(data: Data) -> None:
    _pair(data, "mistake-hop", "203.0.115.1/24", "203.0.115.2/24")
    data["nodes"]["mistake-hop-x"] = {"routes": ["default via 198.51.100.99"]}


def _same_route(data: Data) -> None:
    _pair(data, "mistake-route", "203.0.118.1/24", "203.0.118.2/24")
    data["nodes"]["mistake-route-x"] = {"routes": ["default via 203.0.118.2"] * 2}


def _no_interface(data: Data) -> None:
    setting = {"net.ipv4.conf.nosuch.arp_ignore": "1"}
    data["nodes"]["mistake-setting"] = {"sysctls": setting}


def _no_service(data: Data) -> None:
    service = {"command": ["true"], "after": ["mistake-after/nosuch"]}
    data["nodes"]["mistake-after"] = {"services": {"one": service}}


def _cross(data: Data) -> None:
    for name in ("a", "b", "c"):
        data["nodes"][f"mistake-group-{name}"] = {}
    groups = data.setdefault("groups", {})
    groups["mistake one"] = ["mistake-group-a", "mistake-group-b"]
    groups["mistake two"] = ["mistake-group-b", "mistake-group-c"]


def _twice_at_one_end(data: Data) -> None:
    _pair(data, "mistake-twice", "203.0.119.1/24 203.0.119.1/24", "203.0.119.2/24")


MISTAKES: dict[str, Callable[[Data], None]] = {
    "duplicate-address": lambda data: _pair(data, "mistake-same", "10.255.0.1/24", "10.255.0.1/24"),
    "duplicate-address-on-end": _twice_at_one_end,
    "different-subnet": lambda data: _pair(data, "mistake-far", "203.0.116.1/24", "203.0.117.1/24"),
    "prefix-length": lambda data: _pair(data, "mistake-mask", "10.254.0.1/24", "10.254.0.2/25"),
    "small-mtu-for-ipv6": lambda data: _pair(
        data, "mistake-mtu", "2001:db8:fffe::1/64", "2001:db8:fffe::2/64", mtu=1200
    ),
    "overlapping-subnets": _overlap,
    "mtu-mismatch": _mtus,
    "switch-loop": _loop,
    "service-circle": _circle,
    "unreachable-next-hop": _no_next_hop,
    "duplicate-route": _same_route,
    "unknown-interface": _no_interface,
    "unknown-service": _no_service,
    "crossing-groups": _cross,
    "unknown-node": lambda data: data.setdefault("groups", {}).update(mistake=["mistake-nobody"]),
    "too-few-ends": lambda data: data.setdefault("links", {}).update({"mistake-end": {"ends": []}}),
    "unknown-target": lambda data: data.setdefault("faults", []).append(
        {"kind": "cut", "target": "mistake-nothing"}
    ),
}


def _alone(change: Callable[[Data], None]) -> set[tuple[str, str]]:
    data: Data = {"name": "alone", "nodes": {"somebody": {}}}
    change(data)
    return _problems(data)


@pytest.mark.parametrize("name", MISTAKES)
def test_each_mistake_is_one(name: str) -> None:
    found = _alone(MISTAKES[name])
    assert {code for code, _ in found} == {name.removesuffix("-on-end")}
    assert len(found) == 1


@settings(LABS, max_examples=30)
@given(spoilt(least_depth=2), st.sets(st.sampled_from(sorted(MISTAKES)), min_size=1))
def test_together_they_report_what_each_reports_alone(
    case: tuple[Data, list[Path]], mistakes: set[str]
) -> None:
    data, places = case
    expected: set[tuple[str, str]] = set()
    for path in places:
        one = copy.deepcopy(data)
        _spoil(one, path)
        expected |= _problems(one)
    for name in sorted(mistakes):
        expected |= _alone(MISTAKES[name])
    for path in places:
        _spoil(data, path)
    for name in sorted(mistakes):
        MISTAKES[name](data)
    assert _problems(data) == expected


def test_places_stay_right_after_an_unreadable_item() -> None:
    """The second route is told by its own position, though the first is not in the topology."""
    routes = ["nonsense", "default via 192.0.2.99"]
    nodes = {"a": {"routes": routes}, "b": {}}
    ends = ["a:eth0 192.0.2.300/24 192.0.2.0/25", "b:eth0"]
    with pytest.raises(TopologyError) as caught:
        from_dict({"name": "x", "nodes": nodes, "links": {"l": {"ends": ends}}})
    paths = {problem.code: problem.path for problem in caught.value.problems}
    assert paths["bad-route"] == "nodes.a.routes[0]"
    with pytest.raises(TopologyError) as caught:
        ends[0] = "a:eth0 192.0.2.300/24"
        from_dict(
            {
                "name": "x",
                "nodes": {"a": {"routes": ["nonsense", "10.0.0.0/8 via 127.0.0.1"]}, "b": {}},
                "links": {"l": {"ends": ends}},
            }
        )
    paths = {problem.code: problem.path for problem in caught.value.problems}
    assert paths["bad-next-hop"] == "nodes.a.routes[1]"
