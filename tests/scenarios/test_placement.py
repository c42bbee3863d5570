"""Where scenarios run: a table of what they need, what is asked for, and what there is."""

from __future__ import annotations

import pytest

from testbed.doctor.clocks import THROUGHPUT, VIRTUAL_TIME
from testbed.errors import TestbedError
from testbed.scenarios.choice import Choice
from testbed.scenarios.needs import FEATURE_NAMES
from testbed.scenarios.placement import Group, Kernels, Placement, groups, place

_ABSENT = {
    "esp": "this machine has no esp: Protocol not supported",
    "netem": "this machine has no netem: No such file",
    "curl": "the program 'curl' is not installed",
    VIRTUAL_TIME: "real",
}


def _place(
    needs: list[str],
    kernel: str = "auto",
    clock: str = "auto",
    *,
    seed: int | None = None,
    backend: str = "netns",
    no_guest: str | None = None,
) -> Placement:
    choice = Choice.of(kernel, clock, seed=seed)
    return place(needs, choice, Kernels(_ABSENT.get, lambda: no_guest), backend)


def test_the_host_has_everything() -> None:
    assert _place(["tun", "ping"]) == Placement("host", "real")
    assert _place([]) == Placement("host", "real")
    assert _place([THROUGHPUT]) == Placement("host", "real")


def test_what_the_host_lacks_goes_to_a_guest_with_a_real_clock() -> None:
    assert _place(["tun", "esp", "netem"]) == Placement(
        "guest", "real", "this kernel has no esp, netem"
    )


def test_virtual_time_goes_to_a_guest_with_a_virtual_clock() -> None:
    assert _place([VIRTUAL_TIME]) == Placement("guest", "virtual", "virtual time is needed")
    both = _place(["esp", VIRTUAL_TIME])
    assert both == Placement("guest", "virtual", "virtual time is needed; this kernel has no esp")


def test_a_missing_program_is_missing_in_the_guest_too() -> None:
    for kernel in ("auto", "guest"):
        placed = _place(["curl", "esp"], kernel)
        assert placed.refused == "the program 'curl' is not installed"


def test_where_there_can_be_no_guest_both_reasons_are_told() -> None:
    placed = _place(["esp"], no_guest="building it needs gcc")
    assert placed.refused == (
        "this kernel has no esp, and there is no guest kernel: building it needs gcc"
    )
    assert not placed.refused.startswith("this machine has no"), "CI knows that one and lets it by"


def test_nobody_asks_for_a_guest_that_is_not_wanted() -> None:
    def never() -> str | None:
        raise AssertionError("asked")

    assert place(["tun"], Choice(), Kernels(_ABSENT.get, never)).kernel == "host"


def test_with_the_hosts_kernel_what_it_lacks_is_skipped() -> None:
    assert _place(["esp"], "host").refused == _ABSENT["esp"]
    assert _place([VIRTUAL_TIME], "host").refused == "real"
    assert _place(["tun"], "host") == Placement("host", "real")


@pytest.mark.parametrize("kernel", ["auto", "guest"])
def test_throughput_is_refused_by_a_virtual_clock(kernel: str) -> None:
    placed = _place([THROUGHPUT], kernel, "virtual")
    assert (placed.kernel, placed.clock) == ("guest", "virtual")
    assert "would mean nothing" in placed.refused
    assert not _place([THROUGHPUT], "guest", "real").refused
    assert not _place([THROUGHPUT], "guest").refused


def test_virtual_time_is_refused_by_a_real_clock() -> None:
    for kernel in ("auto", "guest"):
        assert "it needs virtual time" in _place([VIRTUAL_TIME], kernel, "real").refused


def test_options_that_only_a_guest_fulfils_take_everything_there() -> None:
    assert _place(["tun"], clock="virtual") == Placement("guest", "virtual", "--clock virtual")
    assert _place(["tun"], seed=7) == Placement("guest", "real", "--seed")
    assert _place([VIRTUAL_TIME], seed=7) == Placement("guest", "virtual", "--seed")


@pytest.mark.parametrize("name", sorted(FEATURE_NAMES))
def test_any_feature_that_the_host_lacks_is_a_reason_for_a_guest(name: str) -> None:
    placed = place([name], Choice(), Kernels({name: "no"}.get, lambda: None))
    assert placed == Placement("guest", "real", f"this kernel has no {name}")


def test_groups_are_counted_and_put_into_words() -> None:
    placed = [
        Placement("guest", "virtual", "virtual time is needed"),
        Placement("host", "real"),
        Placement("guest", "real", "this kernel has no esp", "there is no guest"),
        Placement("host", "real"),
        Placement("guest", "real", "this kernel has no esp"),
    ]
    found = groups(placed)
    assert sum(group.count for group in found) == len(placed)
    assert found[0] == Group(2, "host", "real", "", refused=False)
    assert [group.line for group in found] == [
        "2 on the host",
        "1 in a guest, real clock: this kernel has no esp",
        "1 in a guest, virtual clock: virtual time is needed",
        "1 nowhere: there is no guest",
    ]


def test_junit_gets_the_place_and_the_reason() -> None:
    placed = Placement("guest", "real", "this kernel has no esp")
    assert dict(placed.properties) == {
        "backend": "netns",
        "kernel": "guest",
        "clock": "real",
        "kernel_reason": "this kernel has no esp",
    }


def test_containers_run_where_the_host_has_everything() -> None:
    placed = _place(["tun", "docker"], backend="docker")
    assert (placed.kernel, placed.clock, placed.refused) == ("host", "real", "")
    assert placed.machine == "docker, host"
    assert dict(placed.properties)["backend"] == "docker"


def test_containers_do_not_run_in_a_guest() -> None:
    placed = _place(["esp", "docker"], backend="docker")
    assert placed.refused == (
        "containers run under the host's kernel and by its clock (this kernel has no esp)"
    )
    (group,) = groups([placed])
    assert group.line == f"1 (docker) nowhere: {placed.refused}"
    placed = _place(["docker"], "guest", backend="docker")
    assert placed.refused.endswith("(--kernel guest)")


def test_mininet_goes_along_into_a_guest() -> None:
    placed = _place([VIRTUAL_TIME, "mininet"], backend="mininet")
    assert (placed.kernel, placed.clock, placed.refused) == ("guest", "virtual", "")
    assert groups([placed])[0].line.startswith("1 (mininet) in a guest, virtual clock: ")


def test_a_backend_that_is_not_here_is_not_in_the_guest_either() -> None:
    kernels = Kernels(lambda name: "no Mininet" if name == "mininet" else None, lambda: None)
    placed = place(["mininet"], Choice(kernel="guest"), kernels, "mininet")
    assert (placed.refused, placed.backend) == ("no Mininet", "mininet")


def test_backends_as_words() -> None:
    assert Choice.of(backend="all").backends == ("netns", "mininet", "docker")
    assert Choice.of(backend="docker, netns,docker").backends == ("docker", "netns")
    for wrong in ("", "dokcer", "netns,", "all,netns"):
        with pytest.raises(TestbedError, match="no backend is called"):
            Choice.of(backend=wrong)
