"""The line on each backend: judged as measured, and whoever fails leaves nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest

from bench import backends, containers, kathara, startup
from bench.backends import BARE_MININET, CONTENDERS, KATHARA, OUR_DOCKER, OUR_MININET, OUR_NETNS
from bench.contender import Report, container_processes, descendants, named
from bench.figures import Sample
from bench.left_behind import nothing_left_of
from bench.our_runs import IMAGE, run_ours
from bench.rounds import ContenderError, Measured, Results, run_contender
from bench.section import Section, markdown, section_json
from testbed.backends.registry import trouble
from testbed.images import reference
from testbed.images.engine import connected
from testbed.model.topology import BACKENDS, DOCKER, MININET, NETNS
from testbed.supervisor.channel import running_labs
from tests.lab.conftest import unique

_NODES = 3
_LONGEST = 120.0


def _measured(up: tuple[float, ...], down: float, processes: int) -> Measured:
    return Measured(Sample.of(up), Sample.of([down] * len(up)), processes)


def _results() -> Results:
    return {
        (OUR_NETNS, 50): _measured((0.1, 0.2), 0.01, 0),
        (OUR_MININET, 50): _measured((3.0, 3.0), 0.05, 51),
        (OUR_DOCKER, 50): _measured((10.0, 12.0), 3, 101),
        (BARE_MININET, 50): _measured((2.0, 3.0), 1, 50),
    }


def _row(section: Section, size: int, name: str) -> tuple[str, ...]:
    (found,) = [row for row in section.table if row[:2] == (str(size), name)]
    return found


def test_everybody_is_compared_with_bare_namespaces_and_with_mininet() -> None:
    section = backends.judge(_results())
    head = section.table[0]
    assert head[2:7] == ("up, s", "down, s", "processes", "up, netns = 1", "up, Mininet = 1")
    docker = dict(zip(head, _row(section, 50, OUR_DOCKER), strict=True))
    assert docker["processes"] == "101"
    assert docker["up, netns = 1"] == "73.3 (60.0-100)"  # 11 / 0.15; 12 / 0.2 and 10 / 0.1
    assert docker["up, Mininet = 1"] == "4.40 (4.00-5.00)"
    assert docker["down, netns = 1"] == "300 (300-300)"
    netns = dict(zip(head, _row(section, 50, OUR_NETNS), strict=True))
    assert netns["up, netns = 1"] == ""
    data = json.loads(json.dumps(section_json(section)))[f"{OUR_DOCKER} 50"]
    assert data["up_s"]["all"] == [10.0, 12.0]
    assert data["up_netns_ratio"]["high"] == pytest.approx(100)


def test_who_cannot_run_or_failed_is_in_the_table_and_the_reason_below() -> None:
    section = backends.judge(_results(), {KATHARA: "no plugin"}, ["Mininet with 10 routers: ping"])
    assert _row(section, 50, KATHARA)[2] == "cannot run here, see below"
    assert _row(section, 10, BARE_MININET)[2] == "failed, see below"
    assert {len(row) for row in section.table} == {len(section.table[0])}
    assert len(section.table) == 1 + len(backends.SIZES) * len(CONTENDERS)
    text = markdown("Figures", [], [section])
    assert "**Not measured:** Kathara: no plugin" in text
    assert "**Not measured:** Mininet with 10 routers: ping" in text


class _NoQuiet:
    def __enter__(self) -> _NoQuiet:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def wait(self) -> None:
        return None


class _NoKathara:
    missing = "it has no plugin"


def test_a_backend_that_fails_spares_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def ours(backend: str, nodes: int) -> Report:
        if (backend, nodes) == (DOCKER, 50):
            raise ContenderError("no ping", where="docker with 50")
        return Report(up=0.1, down=0.1, works=True, processes=nodes)

    monkeypatch.setattr(backends, "_run_ours", ours)
    monkeypatch.setattr(backends, "_run_mininet", lambda nodes: ours(MININET, nodes))
    monkeypatch.setattr(backends, "trouble", lambda name: None)
    monkeypatch.setattr(startup, "why_no_mininet", lambda: None)
    monkeypatch.setattr("bench.rounds.Quiet", _NoQuiet)
    monkeypatch.setattr(containers, "why_not", lambda image: None)
    monkeypatch.setattr(kathara, "installed", lambda image: nullcontext(_NoKathara()))
    section = backends.run(2)
    assert section.skipped == ("Kathara: it has no plugin", "docker with 50: no ping")
    assert section.data["error"] == ["docker with 50: no ping"]
    assert _row(section, 50, OUR_DOCKER)[2] == "failed, see below"
    assert section.data[f"{OUR_DOCKER} 10"]["processes"] == 10
    assert len(section.data[f"{OUR_DOCKER} 10"]["up_s"]["all"]) == 2 * 3
    assert len(section.data[f"{BARE_MININET} 50"]["up_s"]["all"]) == 2


def test_kathara_is_not_installed_where_it_could_not_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(containers, "why_not", lambda image: f"no image {image}")
    with kathara.installed("base") as found:
        assert found.missing == "no image base"


def test_an_image_without_health_check_is_there_as_long_as_it_is_wanted() -> None:
    why = containers.why_not(IMAGE)
    if why is not None:
        pytest.skip(f"{DOCKER}: {why}")
    with connected() as client:
        assert client.images.get(reference(IMAGE)).attrs["Config"]["Healthcheck"]["Test"]
        with containers.without_health_check(IMAGE) as name:
            assert client.images.get(name).attrs["Config"]["Healthcheck"]["Test"] == ["NONE"]
        assert containers.why_not(name) == (
            f"there is no container image {name}, which `make images` builds"
        )


def _why_not(backend: str) -> str | None:
    """Why the line cannot be made on a backend here."""
    return containers.why_not(IMAGE) if backend == DOCKER else trouble(backend)


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    """Each backend in turn; skipped, with the reason, where the line cannot be made on it."""
    name = str(request.param)
    why = _why_not(name)
    if why is not None:
        pytest.skip(f"{name}: {why}")
    return name


@pytest.mark.needs_root
def test_a_run_carries_a_ping_and_counts_what_each_node_needs(backend: str) -> None:
    report = run_ours(backend, _NODES, _LONGEST)
    assert report.works
    expected = {
        NETNS: 0,
        MININET: 1 + _NODES,  # Mininet, and the shell of each node
        DOCKER: 1 + 2 * _NODES,  # the keeper, and each container's first process and shim
    }
    assert report.processes == expected[backend]


# Brings the line up, writes its process id into a file instead of sending a ping, and waits.
_HOLDS_ON = """
import os, signal, sys
from pathlib import Path
from bench import line_testbed
is_up = Path(sys.argv.pop(1))
def wait(*words, **options):
    is_up.write_text(str(os.getpid()))
    signal.pause()
line_testbed._carries = wait
line_testbed.main()
"""


def _await(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _LONGEST
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.needs_root
def test_a_run_that_is_killed_leaves_nothing(
    backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_up = tmp_path / "up"
    command = (sys.executable, "-c", _HOLDS_ON, str(is_up))
    trouble_found: list[BaseException] = []

    def measure() -> None:
        try:
            run_ours(backend, _NODES, _LONGEST, command=command)
        except ContenderError as error:
            trouble_found.append(error)

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = set(running_labs())
    run = threading.Thread(target=measure)
    run.start()
    _await(lambda: not run.is_alive() or (is_up.exists() and is_up.read_text() != ""))
    assert run.is_alive(), trouble_found
    (lab,) = (name for name in set(running_labs()) - before if name.startswith("bench-"))
    if backend == DOCKER:
        assert len(containers.processes_of(lab)) == 1 + 2 * _NODES
    os.kill(int(is_up.read_text()), signal.SIGKILL)
    run.join(_LONGEST)
    (error,) = trouble_found
    assert "ended with -9" in str(error)
    assert "left behind" not in str(error)
    assert lab not in running_labs()
    assert list(tmp_path.iterdir()) == [is_up]
    if backend == DOCKER:
        assert containers.processes_of(lab) == set()


def test_what_cannot_be_ended_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containers, "await_none", lambda lab, longest: [f"{lab}-r0"])
    with (
        pytest.raises(ContenderError, match=r"no ping; and it left behind: gone-.*-r0"),
        nothing_left_of(unique("gone"), in_docker=True),
    ):
        raise ContenderError("no ping")


def test_a_contender_gets_its_time_and_no_more() -> None:
    with pytest.raises(ContenderError, match=r"not done in 0\.2 s"):
        run_contender((sys.executable, "-c", "import signal; signal.pause()"), "it", 0.2)


def test_processes_are_found_by_their_parents_and_by_name() -> None:
    below = "import subprocess; subprocess.run(['sleep', '60'])"
    with subprocess.Popen((sys.executable, "-c", below)) as parent:
        try:
            _await(lambda: bool(descendants(parent.pid) & named("sleep")))
            (sleep,) = descendants(parent.pid)
            assert container_processes([sleep]) == {sleep, parent.pid}
            assert container_processes([parent.pid]) == {os.getpid(), parent.pid, sleep}
        finally:
            for pid in (*descendants(parent.pid), parent.pid):
                os.kill(pid, signal.SIGKILL)
