"""A lab as scenarios have it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from testbed.errors import LabNotFoundError
from testbed.lab import Lab
from testbed.lab_command import CommandResult
from testbed.lab_schedule import RunningSchedule
from testbed.model.fault import RESTORE
from testbed.model.schedule import Entry


class ScenarioLab(Lab):
    """A lab that shows every finished command to whoever watches."""

    observer: Callable[[CommandResult], None] | None = None
    trouble: str | None = None
    _schedules: tuple[RunningSchedule, ...] = ()
    _faults: tuple[Entry, ...] = ()

    def perturbed_by(self, faults: tuple[Entry, ...]) -> None:
        """Have these faults come in every scenario, counted from its beginning."""
        self._faults = faults

    def schedule(self, *entries: Entry) -> RunningSchedule:
        """Have faults come by themselves (see :meth:`testbed.lab.Lab.schedule`)."""
        running = super().schedule(*entries)
        self._schedules = (*self._schedules, running)
        return running

    def begin_scenario(self) -> None:
        """A scenario begins: its clock counts from now."""
        self.clock.restart()
        if self._faults:
            self.schedule(*self._faults)

    def end_scenario(self) -> None:
        """A scenario has ended: its faults come no more, and none may have failed unnoticed.

        Raises:
            ScheduleError: one did, in a schedule that was never ended.
        """
        left, self._schedules = [one for one in self._schedules if not one.ended], ()
        for running in left:
            running.cancel()
        for entry in self._faults:  # what was to be mended later is mended now
            for fault in entry.faults:
                if fault.kind == RESTORE:
                    self.restore(fault.target)
        for running in left:
            running.check()

    def down(self) -> None:
        """End the lab; what it has to say about lost evidence is kept in ``trouble``."""
        with suppress(LabNotFoundError):
            self.trouble = self.status()["trouble"]
        super().down()

    def run(
        self,
        node: str,
        command: Sequence[str],
        *,
        input_text: str = "",
        timeout: float = 60.0,
        check: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> CommandResult:
        """Run a command in a node to its end (see :meth:`testbed.lab.Lab.run`)."""
        result = super().run(
            node,
            command,
            input_text=input_text,
            timeout=timeout,
            check=False,
            environment=environment,
        )
        if self.observer is not None:
            self.observer(result)
        if check:
            result.require_ok()
        return result
