"""Somebody's Mininet topology as one of ours: ``Lab.up(mininet_topology("file.py:MyTopo"))``.

Mininet itself builds the network inside the lab, with the file's own classes of nodes, switches and
links; captures, faults, commands, events and scenarios then work on it as on any lab.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from testbed.backends.mininet_process import NO_PYTHON, PYTHON
from testbed.backends.netns import PACKAGE_PARENT
from testbed.backends.place import PATH
from testbed.errors import LabError, MissingFeatureError, TestbedError
from testbed.kernel.faces import error_from_json
from testbed.kernel.patience import patience
from testbed.model.mininet import Words, topology_of
from testbed.model.topology import MininetSource, Topology
from testbed.model.validate import require_valid

_ALONE = ("--net", "--mount", "--ipc", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc")
_AS_USER = ("--user", "--map-root-user")
_LONGEST_S = 60.0


def mininet_topology(
    text: str, *, options: Sequence[str] = (), name: str | None = None
) -> Topology:
    """The topology of a Mininet file, as its class says; brought up, Mininet builds it.

    The file is run for this, in namespaces of its own where it can change nothing.

    Args:
        text: ``FILE.py:CLASS``, with arguments of the class behind commas as for ``mn --topo``
            (``FILE.py:CLASS,3,delay=5ms``); an entry of the file's ``topos`` may be named instead,
            and nothing where there is only one.
        options: words for Mininet as ``mn`` takes them: ``--switch ovsbr``, ``--link tc,bw=10``,
            ``--controller``, ``--host``, ``--mac``, ``--arp``, ``--ipbase``.
        name: of the topology; the class's by default.

    Raises:
        MissingFeatureError: there is no Mininet on this machine.
        LabError: there is no such file or class, or its code raised.
        TopologyError: it has names that a lab cannot have.
    """
    file, colon, topo = text.partition(":")
    if not file or (colon and not topo):
        raise LabError(f"{text!r} is no Mininet topology", hint="write FILE.py:CLASS")
    source = MininetSource(str(Path(file).absolute()), topo, tuple(options))
    answer = _ask(source)
    source = replace(source, topo=answer["topo"])
    try:
        topology = topology_of(
            Words(answer["nodes"], answer["links"]), source, name or _name_of(source)
        )
    except ValueError as error:
        raise LabError(str(error), where=source.file) from error
    return require_valid(topology, {})


def _name_of(source: MininetSource) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", source.topo.partition(",")[0]).strip("-") or "mininet"


def _ask(source: MininetSource) -> dict[str, Any]:
    """Have the file run and its class asked, by Debian's Python and out of harm's way."""
    if not os.access(PYTHON, os.X_OK):
        raise MissingFeatureError(NO_PYTHON)
    alone = _ALONE if os.geteuid() == 0 else (*_AS_USER, *_ALONE)
    side = (PYTHON, "-m", "testbed.backends.mininet_side.drawing")
    environment = {"PATH": PATH, "LANG": "C.UTF-8", "HOME": "/tmp", "PYTHONPATH": PACKAGE_PARENT}
    limit = patience(_LONGEST_S)
    try:
        done = subprocess.run(
            ["unshare", *alone, *side, source.file, source.topo, *source.options],
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=environment,
            cwd="/",
            timeout=limit,
        )
    except subprocess.TimeoutExpired as error:
        what = f"running it took more than {limit:g} s"
        hint = "it must only define its topology; what else it does belongs under __main__"
        raise LabError(what, where=source.file, hint=hint) from error
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        raise LabError(f"it could not be run: {last}", where=source.file) from None
    if "error" in answer:
        raise _with_the_traceback_here(error_from_json(answer["error"]), done.stderr)
    return answer


def _with_the_traceback_here(error: TestbedError, printed: str) -> TestbedError:
    """There is no lab yet, and so no log that could have the traceback."""
    if "traceback" in (error.hint or ""):
        error.hint = None
        error.add_note(printed)
    return error
