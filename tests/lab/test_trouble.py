"""Trouble from outside: a full disk, a folder that cannot be written, a missing program."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from testbed.errors import LabError
from testbed.evidence.pcapng_reader import PcapngReader
from testbed.kernel import libc
from testbed.lab import Lab
from testbed.model import Topology
from testbed.supervisor.channel import running_labs
from tests.lab.conftest import two_hosts, unique

Up = Callable[[Topology], Lab]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB."""
    if os.geteuid() != 0:
        pytest.skip("needs root to mount a small file system")
    folder = tmp_path / "small"
    folder.mkdir()
    libc.mount("tmpfs", str(folder), "tmpfs", 0, "size=1m")
    yield folder
    libc.unmount(str(folder))


def test_a_full_disk_under_the_run_folder_costs_evidence_not_the_lab(small_disk: Path) -> None:
    lab = Lab.up(two_hosts(), name=unique("full"), run_folder=small_disk / "run")
    with lab:
        capture = lab.capture("bob:eth0")
        filler = small_disk / "filler"
        with filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
            while True:
                file.write(b"x" * 4096)
        for _ in range(3):
            assert lab.run("alice", ["ping", "-c1", "-W2", "192.0.2.2"]).ok, "the lab goes on"
        lab.run("alice", ["ping", "-q", "-c200", "-i0.002", "-s1400", "192.0.2.2"])
        with pytest.raises(LabError, match="No space left on device"):
            capture.stop()
        lab.note("more than the last page of the file holds: " + "x" * 8192)
        status = lab.status()
        assert status["events_lost"] > 0
        assert "No space left" in str(status["trouble"])
        filler.unlink()
        lab.note("there is room again")
    text = (small_disk / "run" / "events.jsonl").read_text()
    assert "there is room again" in text
    assert all(line.startswith("{") and line.endswith("}") for line in text.splitlines())


def test_a_run_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    name = unique("nowhere")
    with pytest.raises(LabError, match="cannot write the run folder") as caught:
        Lab.up(two_hosts(), name=name, run_folder=tmp_path / "file" / "run")
    assert "TESTBED_RUNS" in str(caught.value.hint)
    assert name not in running_labs()


def test_a_capture_of_an_unknown_interface_is_refused(up: Up) -> None:
    lab = up(two_hosts())
    with pytest.raises(LabError, match="eth7"):
        lab.capture("bob:eth7")
    with pytest.raises(LabError, match="no node named 'carol'"):
        lab.capture("carol:eth0")
    with pytest.raises(LabError, match="is no interface"):
        lab.capture("bob")
    with pytest.raises(LabError, match=r"the capture filter .* is not valid"):
        lab.capture("bob:eth0", expression="this is no filter")
    assert lab.status()["captures"] == []


def test_a_capture_holds_every_packet_in_order(up: Up) -> None:
    lab = up(two_hosts())
    with lab.capture() as capture:
        lab.run("alice", ["ping", "-q", "-c100", "-i0.002", "192.0.2.2"], check=True)
    assert capture.lost == 0
    with capture.path.open("rb") as file:
        packets = list(PcapngReader(file))
    times = [one.time_ns or 0 for one in packets]
    assert times == sorted(times)
    assert len(packets) == capture.packets
    assert len(packets) >= 400, "100 requests and 100 answers, each at both ends"
