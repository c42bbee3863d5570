"""A lab as scenarios have it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from testbed.errors import LabNotFoundError
from testbed.lab import Lab
from testbed.lab_command import CommandResult


class ScenarioLab(Lab):
    """A lab that shows every finished command to whoever watches."""

    observer: Callable[[CommandResult], None] | None = None
    trouble: str | None = None

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
