"""Kathara, a network emulator whose nodes are containers: here while it is measured, if it runs.

It comes from PyPI into a folder that is gone afterwards.  It works only with a network plugin of
its own for Docker, which it fetches from an image registry the first time it is used.  Into an
engine of the user's nobody puts a plugin unasked, so there Kathara is measured if it has been used
before; only in the project's private engine is it told to fetch it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path

from bench import containers
from bench.contender import Report
from bench.rounds import ContenderError, run_contender
from testbed.images import engine

NAME = "Kathara"
_PINS = Path(__file__).with_name("kathara.txt")
_LONGEST_INSTALL = 300.0
_LONGEST_CHECK = 120.0
_LONGEST_CLEAR = 120.0


class Kathara:
    """Kathara in a folder, with nodes from an image.

    ``missing`` is why it cannot run here, None if it can.
    """

    def __init__(self, folder: Path, image: str) -> None:
        self._folder, self.image = folder, image
        self._numbers = count(1)
        self.missing = containers.why_not(image) or self._install() or self._check()

    def run(self, nodes: int, longest: float) -> Report:
        """One run.

        Raises:
            ContenderError: it failed; what it left was ended, or is named.
        """
        lab = f"bench-{os.getpid()}-{next(self._numbers)}"
        where = f"{NAME} with {nodes} routers"
        try:
            command = self._command("line", lab, str(nodes), self.image)
            return run_contender(command, where, longest, environment=self._environment())
        except BaseException as error:
            trouble = self._attempt(self._command("clear", lab), _LONGEST_CLEAR)
            if trouble:
                raise ContenderError(f"{error}; and clearing up failed: {trouble}") from error
            raise

    def _install(self) -> str | None:
        command = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps")
        target = ("--target", str(self._folder), "--requirement", str(_PINS))
        trouble = self._attempt((*command, *target), _LONGEST_INSTALL)
        return trouble and f"it cannot be installed: {trouble}"

    def _check(self) -> str | None:
        ours = engine.find_engine() == f"unix://{engine.private_socket()}"
        words = ("check", "and-fetch") if ours else ("check",)
        return self._attempt(self._command(*words), _LONGEST_CHECK)

    def _command(self, *words: str) -> tuple[str, ...]:
        return (sys.executable, "-m", "bench.line_kathara", *words)

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "PYTHONPATH": str(self._folder),
            "DOCKER_HOST": engine.find_engine() or "",
        }

    def _attempt(self, command: Sequence[str], longest: float) -> str | None:
        """Run it; returns the last line that it wrote if it fails."""
        try:
            result = subprocess.run(
                command,
                check=False,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=longest,
                env=self._environment(),
            )
        except subprocess.TimeoutExpired:
            return f"not done in {longest:g} s"
        if result.returncode == 0:
            return None
        lines = result.stdout.strip().splitlines()
        return lines[-1] if lines else f"ended with {result.returncode}"


@contextmanager
def installed(image: str) -> Iterator[Kathara]:
    """Kathara, as long as this lasts."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, ExitStack() as stack:
        found = Kathara(Path(folder), image)
        if found.missing is None:
            found.image = stack.enter_context(containers.without_health_check(image))
        yield found
