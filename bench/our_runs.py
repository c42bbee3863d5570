"""Runs of our own labs: each in a process of its own, and whoever fails leaves nothing."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from itertools import count

from bench.contender import Report
from bench.left_behind import nothing_left_of
from bench.rounds import run_contender
from testbed.model.topology import DOCKER

IMAGE = "base"
"""Of containers: the smallest of our images."""

_COMMAND = (sys.executable, "-m", "bench.line_testbed")
_numbers = count(1)


def run_ours(
    backend: str, nodes: int, longest: float, *, command: Sequence[str] = _COMMAND
) -> Report:
    """One run of the line on a backend of ours.

    Raises:
        ContenderError: it failed; what it left has ended, or is named.
    """
    lab = f"bench-{os.getpid()}-{next(_numbers)}"
    in_docker = backend == DOCKER
    words = ("--backend", backend, "--name", lab, *(("--image", IMAGE) if in_docker else ()))
    # The folder goes last: what is killed does not remove its own, and may still write there.
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        nothing_left_of(lab, in_docker=in_docker),
    ):
        return run_contender(
            (*command, str(nodes), *words),
            f"testbed, {backend} with {nodes} routers",
            longest,
            environment={**os.environ, "TMPDIR": folder},
        )
