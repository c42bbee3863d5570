"""One run, several kernels: a pytest plugin that has scenarios run where they can.

Those for the host are run by pytest as ever.  Then come the guests, each with a part of the run;
what they report is handed to pytest as if it had happened here, so that there is one outcome, one
report, one ``junit.xml`` and one exit status.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Generator
from functools import cache
from pathlib import Path

import pytest

from testbed.errors import TestbedError
from testbed.guest.kernel_build import ensure_kernel
from testbed.guest.kernel_cache import GuestKernel
from testbed.pytest_plugin import is_scenario, run_of
from testbed.replay.job import lay
from testbed.scenarios.choice import AUTO, HOST, Choice
from testbed.scenarios.guests import Ended, GuestTeam, Said, Task
from testbed.scenarios.item_needs import REFUSED, backend_of, check_items, needs_of
from testbed.scenarios.needs import missing
from testbed.scenarios.part_run import PartRun
from testbed.scenarios.parts import FOLDER, Part, cut
from testbed.scenarios.placement import Group, Kernels, Placement, groups, place

_LOOK_EVERY_S = 0.3
_PATIENCE_S = 30.0
"""How long guests may take to end after Ctrl-C."""


class Sharing:
    """The plugin.

    Args:
        choice: kernel and clock, as asked for.
        say: told in words what goes on besides scenarios (the kernel is built, a guest waits).
        no_guest: why there can be no guest, or None; asked only when one is wanted.
    """

    def __init__(
        self,
        choice: Choice,
        say: Callable[[str], None],
        *,
        no_guest: Callable[[], str | None],
    ) -> None:
        self.choice, self._say = choice, say
        self._kernel: GuestKernel | None = None
        self._no_guest = cache(no_guest)
        self._collected: Counter[Path] = Counter()
        self._parts: list[Part] = []
        self.placements: dict[str, Placement] = {}
        self.error: TestbedError | None = None

    @property
    def groups(self) -> tuple[Group, ...]:
        """Where the scenarios run, and why."""
        return groups(self.placements.values())

    @pytest.hookimpl(wrapper=True)
    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> Generator[None, None, None]:
        """Decide for each selected scenario where it runs; keep those for this kernel here."""
        self._collected.update(item.path for item in items)
        yield
        try:
            check_items(items)
            kernels = Kernels(missing, self._no_guest)
            for item in items:
                names = [need.name for need in needs_of(item)]
                self.placements[item.nodeid] = place(names, self.choice, kernels, backend_of(item))
            self._check_placements(config)
        except TestbedError as error:
            self.error = error
            raise pytest.UsageError from error
        if config.option.collectonly:
            return
        here, away = [], []
        for item in items:
            placement = self.placements[item.nodeid]
            if placement.refused:
                item.stash[REFUSED] = placement.refused
            if placement.refused or placement.kernel == HOST:
                item.user_properties += placement.properties
                here.append(item)
            else:
                away.append((item, placement))
        items[:] = here
        self._parts = cut(away, self._collected)
        if self.choice.kernel == AUTO or away:
            run_of(config).notes += [f"scenarios: {group.line}" for group in self.groups]

    def _check_placements(self, config: pytest.Config) -> None:
        """What the options make impossible is an error; and they may make a guest a must."""
        placed = list(self.placements.values())
        if placed and all(one.asked_for for one in placed):
            raise TestbedError(placed[0].refused, where=f"all {len(placed)} scenarios selected")
        wanted = any(one.kernel != HOST and not one.refused for one in placed)
        if wanted and self.choice.needs_guest and not config.option.collectonly:
            self._kernel = ensure_kernel(self._say)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        """First those for this kernel, then the guests."""
        session.testscollected = len(self.placements)  # those in guests count, too
        done = yield
        if self._parts:
            self._run_parts(session)
        return done

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Where and why, for the report."""
        if is_scenario(item):
            self.placements[item.nodeid].tell(run_of(item.config).scenario_of(item))

    def _run_parts(self, session: pytest.Session) -> None:
        folder = run_of(session.config).folder / FOLDER
        runs = {
            part.name: PartRun(
                session, part, folder / part.name, self.placements[part.items[0].nodeid]
            )
            for part in self._parts
        }
        try:
            kernel = self._kernel or ensure_kernel(self._say)
            tasks = [self._task(session, run, kernel) for run in runs.values()]
        except TestbedError as error:
            for run in runs.values():
                run.fail(error)
            return
        _note_kernel(session.config, kernel)
        with GuestTeam(kernel, tasks, jobs=self.choice.jobs, say=self._say) as team:
            try:
                self._watch(session, team, runs)
            except KeyboardInterrupt:
                self._say("interrupted: waiting for the guests to end (Ctrl-C again ends them)")
                team.interrupt()
                _drain(team, runs)
                raise

    def _watch(self, session: pytest.Session, team: GuestTeam, runs: dict[str, PartRun]) -> None:
        stopped = False
        for one in team.news(_LOOK_EVERY_S):
            if one is None:
                for run in runs.values():
                    run.read()
                continue
            run = runs[one.task.name]
            if isinstance(one, Said):
                run.take(one)
            else:
                run.end(one)
            if (session.shouldfail or session.shouldstop) and not stopped:
                stopped = True
                team.interrupt()
        if session.shouldfail:
            raise session.Failed(session.shouldfail)
        if session.shouldstop:
            raise session.Interrupted(session.shouldstop)

    def _task(self, session: pytest.Session, run: PartRun, kernel: GuestKernel) -> Task:
        machine = self.choice.machine(run.part.clock)
        stop = ("--stop",) if session.config.getoption("maxfail") == 1 else ()
        backends = ",".join(self.choice.backends)
        words = ("--kernel", "host", "--backend", backends, "--part", *stop, *run.part.arguments)
        job, names = lay(("test", *words), run.folder, machine, kernel)
        run.translate(names)
        return Task(run.part.name, job, run.folder, machine)


def _drain(team: GuestTeam, runs: dict[str, PartRun]) -> None:
    """Take what interrupted guests still say, for so long and no longer; then end them."""
    deadline = time.monotonic() + _PATIENCE_S
    for one in team.news(_LOOK_EVERY_S):
        if isinstance(one, Said):
            runs[one.task.name].take(one)
        elif isinstance(one, Ended):
            runs[one.task.name].end(one, interrupted=True)
        if time.monotonic() > deadline:
            team.kill()  # each is told of as ended, and so the loop comes to its end


def _note_kernel(config: pytest.Config, kernel: GuestKernel) -> None:
    text = f"guest kernel: Linux {kernel.manifest.release}, key {kernel.key}"
    run_of(config).notes.append(text)
