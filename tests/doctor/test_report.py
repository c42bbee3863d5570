"""The report: effects on scenarios, remedies, plain data and what a person sees."""

from __future__ import annotations

import json
import re
from io import StringIO

import pytest
from rich.console import Console

from testbed.doctor import Capability, DoctorReport, Kind, Probes, State, examine, render
from testbed.doctor.effects import Scenario, by_name, remedies
from testbed.doctor.kernels import IMPOSSIBLE, GuestState
from testbed.doctor.programs import INSTALL
from tests.doctor.test_facts import PLAIN
from tests.doctor.test_rights import ALL_WELL


def _capability(
    name: str, kind: Kind, state: State = State.YES, remedy: str = "do something"
) -> Capability:
    return Capability(
        name,
        kind,
        state,
        f"for {name}",
        f"{name} was looked at",
        "" if state is State.YES else remedy,
    )


KERNEL = (
    _capability("tun", Kind.KERNEL),
    _capability("netem", Kind.KERNEL, State.NO, "modprobe sch_netem"),
)
BACKENDS = (_capability("docker", Kind.BACKEND, State.NO, "make images"),)
PROGRAMS = (
    _capability("curl", Kind.PROGRAM),
    _capability("dig", Kind.PROGRAM, State.NO, INSTALL + "bind9-dnsutils"),
    _capability("nginx", Kind.PROGRAM, State.NO, INSTALL + "nginx"),
    _capability("ping", Kind.PROGRAM, State.LIMITED, INSTALL + "iputils-ping"),
)
NO_GUEST = GuestState(IMPOSSIBLE, "needs gcc")
SCENARIOS: tuple[Scenario, ...] = (
    ("runs", ("tun", "curl")),
    ("delay", ("netem", "curl")),
    ("names", ("dig",)),
    ("echo", ("ping",)),
    ("typing mistake", ("crul",)),
)


def _examine(
    scenarios: tuple[Scenario, ...] = (),
    rights: dict[str, str] | None = None,
    guest: GuestState = NO_GUEST,
) -> DoctorReport:
    probes = Probes(
        machine=lambda: PLAIN,
        rights=lambda: ALL_WELL if rights is None else rights,
        kernel=lambda: KERNEL,
        clocks=lambda: (),
        backends=lambda: BACKENDS,
        programs=lambda: PROGRAMS,
        guest=lambda: guest,
    )
    return examine(scenarios, probes=probes)


def _text(report: DoctorReport, *, full: bool = True, width: int = 100) -> str:
    out = StringIO()
    Console(file=out, width=width, color_system=None).print(render(report, full=full))
    return out.getvalue()


def test_each_scenario_gets_what_it_lacks() -> None:
    effects = {effect.scenario: effect for effect in _examine(SCENARIOS).effects}
    assert effects["runs"].can_run
    assert (effects["delay"].missing, effects["delay"].can_run) == (("netem",), False)
    assert (effects["echo"].limited, effects["echo"].can_run) == (("ping",), True)
    assert effects["typing mistake"].unknown == ("crul",)
    assert not effects["typing mistake"].can_run


def test_affected_leaves_out_what_is_well() -> None:
    report = _examine(SCENARIOS)
    names = [effect.scenario for effect in report.affected]
    assert names == ["delay", "names", "echo", "typing mistake"]
    assert report.summary() == "2 of 5 scenarios can run here."


def test_without_namespaces_nothing_runs() -> None:
    report = _examine(SCENARIOS, {"namespaces": "Operation not permitted"})
    assert not report.usable
    assert "netem" not in [name for remedy in report.remedies() for name in remedy.capabilities]
    assert not any(effect.can_run for effect in report.effects)
    assert report.summary() == "No lab can run here."


def test_where_two_speak_of_one_thing_the_worse_counts() -> None:
    """The kernel has tun, but this user may not open the device."""
    yes = _capability("tun", Kind.KERNEL)
    no = _capability("tun", Kind.MACHINE, State.NO)
    limited = _capability("tun", Kind.MACHINE, State.LIMITED)
    assert by_name([yes, no])["tun"] is no
    assert by_name([no, yes])["tun"] is no
    assert by_name([limited, yes])["tun"] is limited
    report = _examine(SCENARIOS, {**ALL_WELL, "tun": "Permission denied"})
    assert report.effects[0].missing == ("tun",)


def test_remedies_put_packages_into_one_command() -> None:
    first, second = remedies(KERNEL + PROGRAMS)
    assert first.action == INSTALL + "bind9-dnsutils nginx iputils-ping"
    assert first.capabilities == ("dig", "nginx", "ping")
    assert (second.action, second.capabilities) == ("modprobe sch_netem", ("netem",))


def test_remedies_are_for_the_scenarios_given() -> None:
    actions = [remedy.action for remedy in _examine(SCENARIOS).remedies()]
    assert actions == [INSTALL + "bind9-dnsutils iputils-ping", "modprobe sch_netem"]
    assert _examine((("runs", ("curl",)),)).remedies() == ()
    assert len(_examine().remedies()) == 3


def test_json_is_plain_data_and_says_it_all() -> None:
    data = json.loads(json.dumps(_examine(SCENARIOS).to_json()))
    assert data["usable"] is True
    assert data["facts"]["system"] == PLAIN.system
    states = {c["name"]: c["state"] for c in data["capabilities"]}
    assert (states["namespaces"], states["netem"], states["ping"]) == ("yes", "no", "limited")
    scenarios = {s["scenario"]: s for s in data["scenarios"]}
    assert scenarios["delay"]["missing"] == ["netem"]
    assert scenarios["runs"]["can_run"] is True
    assert data["remedies"][1]["capabilities"] == ["netem"]


@pytest.mark.parametrize("width", [60, 100, 160])
def test_states_are_words_and_not_colours_alone(width: int) -> None:
    text = _text(_examine(SCENARIOS), width=width)
    lines = [line.split() for line in text.splitlines() if line.strip()]
    for state, name in (("yes", "curl"), ("no", "netem"), ("limited", "ping")):
        assert any(line[:2] == [state, name] for line in lines), text
    assert "no netem" in text
    assert "asks for 'crul', which nobody knows" in " ".join(text.split())
    assert "modprobe sch_netem" in text
    assert max(len(line) for line in text.splitlines()) <= width


def test_in_short_only_what_is_not_in_order() -> None:
    text = _text(_examine(), full=False)
    assert "curl was looked at" not in text
    assert "netem was looked at" in text


def test_in_short_only_what_a_scenario_needs() -> None:
    text = _text(_examine((("delay", ("netem", "curl")),)), full=False)
    assert "netem was looked at" in text
    assert "nginx was looked at" not in text


def test_scenarios_of_one_file_with_one_reason_share_a_line() -> None:
    report = _examine(
        (("f.py::one", ("netem",)), ("f.py::two", ("netem",)), ("f.py::three", ("dig",)))
    )
    lines = [" ".join(line.split()) for line in _text(report).splitlines()]
    assert "skipped f.py (2 scenarios) no netem" in lines
    assert "skipped f.py::three no dig" in lines


def test_red_is_for_what_a_scenario_lacks() -> None:
    def styles(scenarios: tuple[Scenario, ...]) -> dict[str, str]:
        """The escape code before the word ``no``, by capability."""
        out = StringIO()
        console = Console(
            file=out, width=100, force_terminal=True, no_color=False, color_system="standard"
        )
        console.print(render(_examine(scenarios)))
        found = re.findall(r"\x1b\[(\d+)mno *\x1b\[0m +(\w+)", out.getvalue())
        return {name: code for code, name in found}

    red, dim = "31", "2"
    assert styles((("delay", ("netem",)),)) == {
        "netem": red,
        "docker": dim,
        "dig": dim,
        "nginx": dim,
    }
    assert styles(()) == {"netem": red, "docker": red, "dig": red, "nginx": red}


def test_a_machine_where_all_is_well_says_so() -> None:
    report = DoctorReport((), (_capability("namespaces", Kind.MACHINE),))
    assert report.summary() == "Labs can run here, and nothing is missing."
    assert "What to do" not in _text(report)


def test_this_machine() -> None:
    """For real: all sources speak, names are unique, nothing stands without a reason."""
    report = examine([("any", ("curl",))])
    assert report.of_kind(Kind.MACHINE)
    assert report.of_kind(Kind.KERNEL)
    assert report.of_kind(Kind.PROGRAM)
    names = [capability.name for capability in report.capabilities]
    assert len(set(names)) == len(names)
    for capability in report.capabilities:
        assert capability.purpose
        assert capability.detail
        explained = capability.remedy or capability.detail.startswith("not tried")
        assert capability.state is State.YES or explained
    assert report.summary() in _text(report)
