"""The pytest plugin: a ``lab`` for every scenario file, its evidence, and the run's report.

A scenario is an ordinary test beside its topology (``topologies/NAME/test_*.py``).  It asks for:

``lab``
    the folder's topology, up for the whole file and taken down after it;
``fresh_lab``
    a function that brings up the same (or another) topology for this one test;
``evidence``
    where the test puts what it saw: text, tables, files.

Every test has a lab-wide capture of its own unless it says ``@pytest.mark.capture(off=True)``; the
output of every command it ran in a node is kept.  ``@pytest.mark.needs("netem", "curl")`` skips it,
with the reason, where the kernel lacks a feature or the machine a program; what follows from the
topology itself need not be said.  ``testbed test`` runs in a guest kernel what the host's cannot.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # every pytest on the machine loads this plugin: it must cost nothing unused
    from testbed.model.topology import Topology
    from testbed.scenarios.evidence import Evidence
    from testbed.scenarios.labs import KeptLab
    from testbed.scenarios.scenario_lab import ScenarioLab
    from testbed.scenarios.session import ScenarioRun

_RUN: pytest.StashKey[ScenarioRun] = pytest.StashKey()
_LAB_FIXTURES = frozenset({"lab", "fresh_lab", "evidence"})


def pytest_addoption(parser: pytest.Parser) -> None:
    """Our options, beside pytest's own."""
    group = parser.getgroup("testbed", "network labs")
    group.addoption(
        "--testbed-keep",
        action="store_true",
        help="leave the lab up when a test in it fails, and say how to enter it",
    )
    group.addoption(
        "--testbed-run-folder",
        metavar="DIR",
        help="put report, captures and logs here (default: a new folder under runs/)",
    )
    group.addoption(
        "--testbed-backend",
        metavar="NAME,...",
        default="netns",
        help="what makes the nodes of labs: netns, mininet, docker; every scenario runs on each",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """With several backends every scenario runs on each."""
    if "backend" in metafunc.fixturenames:
        from testbed.scenarios.choice import parse_backends

        names = parse_backends(metafunc.config.getoption("--testbed-backend"))
        if len(names) > 1:
            metafunc.parametrize("backend", names, indirect=True, scope="module")


def pytest_configure(config: pytest.Config) -> None:
    """Make our markers known and begin the run."""
    for line in (
        "needs(*names): kernel features or programs without which the scenario is skipped",
        "capture(off=False, expression=''): no capture for this scenario, or a filtered one",
        "invariant: testbed explore tries this scenario over many seeds",
    ):
        config.addinivalue_line("markers", line)


def run_of(config: pytest.Config) -> ScenarioRun:
    """The scenario run that this pytest session is."""
    if _RUN not in config.stash:
        from testbed.scenarios.choice import parse_backends
        from testbed.scenarios.session import ScenarioRun

        config.stash[_RUN] = ScenarioRun(
            command=("pytest", *(str(argument) for argument in config.invocation_params.args)),
            folder=config.getoption("--testbed-run-folder"),
            keep=bool(config.getoption("--testbed-keep")),
            backends=parse_backends(config.getoption("--testbed-backend")),
        )
    return config.stash[_RUN]


def is_scenario(item: pytest.Item) -> bool:
    """Does this test stand in a lab?"""
    return bool(_LAB_FIXTURES & set(getattr(item, "fixturenames", ())))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In a run with a perturbation, scenarios marked as invariants are all that counts."""
    folder = config.getoption("--testbed-run-folder")
    if folder is None or not Path(folder, "perturbation.json").exists():
        return
    invariants = [item for item in items if item.get_closest_marker("invariant") is not None]
    if invariants:
        config.hook.pytest_deselected(items=[item for item in items if item not in invariants])
        items[:] = invariants


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip, with the reason, what this machine cannot do."""
    if not is_scenario(item) and item.get_closest_marker("needs") is None:
        return
    from testbed.scenarios.item_needs import REFUSED, check_items, needs_of
    from testbed.scenarios.needs import first_missing

    reason = item.stash.get(REFUSED, None)
    if reason is None:
        check_items([item])
        reason = first_missing(need.name for need in needs_of(item))
    if reason is not None:
        pytest.skip(reason)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Hand each phase's outcome to the run."""
    report = yield
    if is_scenario(item):
        run_of(item.config).take_phase(item, call, report)
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the report, if any scenario ran in a lab."""
    if _RUN in session.config.stash:
        run = run_of(session.config)
        run.settle()
        if run.scenarios and run.writes_report:
            from testbed.scenarios.reporting import write_run_report

            run.report = write_run_report(run)


def pytest_unconfigure(config: pytest.Config) -> None:
    """What pytest itself has written down (``junit.xml``) holds no secret of a lab, either."""
    written = getattr(config.option, "xmlpath", None)
    if written and _RUN in config.stash and run_of(config).secrets:
        from testbed.scenarios.reporting import redact_junit

        path = Path(os.path.expandvars(written)).expanduser()  # as pytest understands it
        if path.exists():
            redact_junit(path, run_of(config).secrets)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say where the report is, and which labs were left up."""
    config = terminalreporter.config
    if _RUN in config.stash:
        for line in run_of(config).closing_lines():
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def scenario_run(request: pytest.FixtureRequest) -> ScenarioRun:
    """The run: its folder and everything collected so far."""
    return run_of(request.config)


@pytest.fixture(scope="module")
def topology(request: pytest.FixtureRequest) -> Topology:
    """The topology of the folder the test file lies in; override it to vary it for a file."""
    from testbed.model.discover import find_topology

    return find_topology(str(Path(request.path).parent / "topology.py"))


@pytest.fixture(scope="module")
def backend(request: pytest.FixtureRequest, scenario_run: ScenarioRun) -> str:
    """What makes the nodes of this test's lab: ``netns``, ``mininet`` or ``docker``."""
    return str(getattr(request, "param", scenario_run.backends[0]))


@pytest.fixture(scope="module")
def _module_lab(
    request: pytest.FixtureRequest, topology: Topology, scenario_run: ScenarioRun, backend: str
) -> Iterator[ScenarioLab]:
    from testbed.scenarios.labs import KeptLab, LabFactory

    factory = LabFactory(scenario_run, Path(request.path).stem, backend)
    kept = KeptLab(factory.up(topology), scenario_run)
    yield kept.lab
    kept.finish()


@pytest.fixture
def lab(request: pytest.FixtureRequest, _module_lab: ScenarioLab) -> Iterator[ScenarioLab]:
    """The file's lab, with a capture and an evidence list for this test."""
    with run_of(request.config).watching(request.node, _module_lab):
        yield _module_lab


@pytest.fixture
def fresh_lab(
    request: pytest.FixtureRequest, scenario_run: ScenarioRun, backend: str
) -> Iterator[Callable[[Topology], ScenarioLab]]:
    """A function that brings a topology up for this test alone."""
    from testbed.scenarios.labs import KeptLab, LabFactory

    factory = LabFactory(scenario_run, request.node.name, backend)
    with scenario_run.several(request.node) as watch:
        kept: list[KeptLab] = []

        def bring_up(wanted: Topology) -> ScenarioLab:
            kept.append(KeptLab(factory.up(wanted), scenario_run))
            watch(kept[-1].lab)
            return kept[-1].lab

        yield bring_up
    for one in reversed(kept):
        one.finish()


@pytest.fixture
def evidence(request: pytest.FixtureRequest, scenario_run: ScenarioRun) -> Evidence:
    """Where this test puts what it saw."""
    return scenario_run.evidence_of(request.node)
