"""The watcher as the program that it is: lines into the FIFO, events out, an orderly end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.events import AdjacencyUp, Emitter, decode
from testbed.peers.frr.router import RouterConfigError
from testbed.peers.frr.watch import run
from tests.peers.frr.test_log_lines import OSPF_UP

_PROGRAM = """
import sys
from pathlib import Path
from testbed.events import Emitter
from testbed.peers.frr.watch import run
run(Path(sys.argv[1]), Emitter(stream=sys.stdout), Path(sys.argv[2]))
"""


def test_lines_become_events_until_it_is_asked_to_end(tmp_path: Path) -> None:
    """What is in the FIFO when the signal comes is told, too; half a line is not."""
    names, told = tmp_path / "names.json", tmp_path / "frr" / "told"
    names.write_text('{"192.0.2.1": "pe1"}')
    told.parent.mkdir()
    told.write_text("an old file in its place")
    with subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, str(names), str(told)],
        stdout=subprocess.PIPE,
        text=True,
    ) as watcher:
        assert watcher.stdout is not None
        while not told.is_fifo():
            assert watcher.poll() is None
        with told.open("w") as log:  # waits until the watcher has opened it
            log.write(f"{OSPF_UP}\nrubbish\n")
            log.flush()
            record = decode(watcher.stdout.readline())
            second = OSPF_UP.replace("pe1:", "p2:")
            log.write(f"{second}\n{OSPF_UP[:30]}")
        watcher.send_signal(signal.SIGTERM)
        rest = watcher.stdout.read().splitlines()
    assert watcher.returncode == 0
    assert record.event == AdjacencyUp("frr", "OSPFv2", "pe1", "192.0.2.1", "pe1")
    assert record.time_ns == 1_795_319_506_668_396_000
    assert [decode(line).event for line in rest] == [
        AdjacencyUp("frr", "OSPFv2", "pe1", "192.0.2.1", "p2")
    ]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (None, "cannot read it: No such file"),
        ("{", "not JSON"),
        ("[1]", "not the names of a router's neighbours"),
        (json.dumps({"192.0.2.1": 7}), "not the names of a router's neighbours"),
    ],
)
def test_names_that_cannot_be_read(tmp_path: Path, text: str | None, complaint: str) -> None:
    path = tmp_path / "names.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(RouterConfigError, match=rf"names\.json: {complaint}"):
        run(path, Emitter(), tmp_path / "told")
    assert not (tmp_path / "told").exists()


def test_the_program_says_how_it_is_used() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "testbed.peers.frr"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert (done.returncode, done.stderr.partition(":")[0]) == (2, "usage")
