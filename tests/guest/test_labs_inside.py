"""Labs run in the guest as they run on the host, in both clocks, and for ordinary users."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.guest.job import RUN_FOLDER, Job
from testbed.guest.kernel_cache import GuestKernel
from testbed.guest.machine import START, Machine, VirtualClock
from tests.guest.running import Ran, run

_ROOT = Path(__file__).parents[2]
CLOCKS = pytest.mark.parametrize(
    "machine", [Machine(), Machine(clock=VirtualClock(), seed=1)], ids=["real", "virtual"]
)


def _python(kernel: GuestKernel, folder: Path, machine: Machine, arguments: tuple[str, ...]) -> Ran:
    environment = {"PYTHONPATH": str(_ROOT), "TESTBED_RUNS": f"{RUN_FOLDER}/runs"}
    job = Job((sys.executable, "-B", *arguments), environment, folder=str(_ROOT))
    return run(kernel, folder, job, machine)


_LAB = f"""
    import json, time
    from pathlib import Path
    from testbed.lab import Lab
    from testbed.model import Builder, Impairment
    lab = Builder("far")
    lab.host("alice")
    lab.host("bob")
    slow = Impairment(delay=0.05)
    lab.link("cable", "alice:eth0 192.0.2.1/24", "bob:eth0 192.0.2.2/24", impairment=slow)
    with Lab.up(lab.build(), run_folder=Path("{RUN_FOLDER}/lab")) as up:
        with up.capture("bob:eth0") as capture:
            began = time.time()
            arguments = ["ping", "-c", "3", "-i", "60", "192.0.2.2"]
            ping = up.run("alice", arguments, check=True, timeout=300)
            took = time.time() - began
    print(json.dumps({{"ping": ping.stdout, "packets": capture.packets, "took": took}}))
"""


def test_a_lab_with_delay_over_minutes(kernel: GuestKernel, tmp_path: Path) -> None:
    """The host's kernel may have no netem, and nobody waits two minutes for a test."""
    machine = Machine(clock=VirtualClock(), seed=1)
    ran = _python(kernel, tmp_path, machine, ("-c", textwrap.dedent(_LAB)))
    assert ran.result.status == 0, ran.errors
    said = json.loads(ran.output)
    assert "icmp_seq=3 ttl=64 time=100 ms" in said["ping"]
    assert said["packets"] >= 6
    assert 120 <= said["took"] < 150
    first = json.loads((tmp_path / "lab/events.jsonl").read_text().splitlines()[0])
    assert first["kind"] == "lab-up"
    assert first["time_ns"] // 10**9 == int(START.timestamp()), "virtual time, too"


@CLOCKS
def test_the_same_command_runs_inside(
    kernel: GuestKernel, tmp_path: Path, machine: Machine
) -> None:
    arguments = ("-m", "testbed", "test", "pair", "--json")
    ran = _python(kernel, tmp_path, machine, arguments)
    assert ran.result.status == 0, ran.output + ran.errors
    said = json.loads(ran.output)
    assert (said["passed"], said["failed"], said["skipped"]) == (2, 0, 0)
    inside = Path(said["run_folder"]).relative_to(RUN_FOLDER)
    assert (tmp_path / inside / "report.html").stat().st_size > 10_000


def test_the_kernels_features_are_there_when_tried(kernel: GuestKernel, tmp_path: Path) -> None:
    """The same probe that looks for them on a host."""
    program = """
        import json
        from testbed.kernel.probe import probe
        print(json.dumps({name: [s.present, s.detail] for name, s in probe().items()}))
    """
    ran = _python(kernel, tmp_path, Machine(), ("-c", textwrap.dedent(program)))
    states = json.loads(ran.output)
    assert len(states) > 30
    assert {name: detail for name, (present, detail) in states.items() if not present} == {}


_UID = 54321
_BOOTER = """
    import sys
    from pathlib import Path
    from testbed.guest.boot import run_in_guest
    from testbed.guest.job import Job
    from testbed.guest.kernel_cache import GuestKernel, Manifest
    kernel = GuestKernel(Path("linux"), Manifest("", {}, "", 0, "", 0, 0, 0))
    environment = {"PYTHONPATH": "/mnt"}
    job = Job((sys.executable, "-B", "-c", sys.argv[1]), environment, folder="/mnt")
    sys.exit(run_in_guest(kernel, job, Path("run")).status)
"""
_USERS_LAB = f"""
    import os
    from pathlib import Path
    from testbed.lab import Lab
    from tests.lab.conftest import two_hosts
    with Lab.up(two_hosts(), run_folder=Path("{RUN_FOLDER}/lab")) as lab:
        print(lab.run("alice", ["ping", "-c1", "192.0.2.2"]).status, os.geteuid())
    for path in ("/mnt/README.md", "/var/tmp/testbed-guest-was-here"):
        Path(path).write_text("gone with the guest")
"""


@pytest.fixture
def users_folder() -> Iterator[Path]:
    """A folder that an ordinary user owns and can reach."""
    with tempfile.TemporaryDirectory(prefix="testbed-user-") as name:
        os.chown(name, _UID, _UID)
        yield Path(name)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")
def test_an_ordinary_user_runs_a_lab(kernel: GuestKernel, users_folder: Path) -> None:
    """Without any right on the host, and as root in the guest.  The tree is bound to /mnt, for it
    may lie where this user cannot look."""
    shutil.copy(kernel.binary, users_folder / "linux")
    python = Path(sys.executable)
    inside = Path("/mnt") / python.relative_to(_ROOT) if python.is_relative_to(_ROOT) else python
    program, lab = textwrap.dedent(_BOOTER), textwrap.dedent(_USERS_LAB)
    drop = f"setpriv --reuid={_UID} --regid={_UID} --clear-groups --no-new-privs"
    script = (
        f"mount --bind {shlex.quote(str(_ROOT))} /mnt && cd {users_folder} && "
        f"exec {drop} {shlex.join([str(inside), '-B', '-c', program, lab])}"
    )
    readme = (_ROOT / "README.md").read_bytes()
    result = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": "/mnt", "HOME": str(users_folder)},
        timeout=120,
    )
    assert (result.returncode, result.stdout) == (0, "0 0\n"), result.stderr
    assert (_ROOT / "README.md").read_bytes() == readme
    assert not Path("/var/tmp/testbed-guest-was-here").exists()
    assert (users_folder / "run/lab/events.jsonl").stat().st_uid == _UID
    assert {path.name for path in users_folder.iterdir()} == {"linux", "run"}
