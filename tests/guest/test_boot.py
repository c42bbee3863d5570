"""A guest runs a command: output, exit code, files, signals, and what it cannot do to the host."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from testbed.guest import launch
from testbed.guest.boot import CONTROL_FOLDER, Guest, GuestResult, run_in_guest
from testbed.guest.errors import GuestError, HostTroubleError
from testbed.guest.job import RUN_FOLDER, Job
from testbed.guest.kernel_cache import GuestKernel
from testbed.guest.link import Kind
from testbed.guest.machine import Machine
from tests.guest.running import Said, processes_of_session, run
from tests.waiting import wait_until


def test_output_errors_and_status_come_back(kernel: GuestKernel, tmp_path: Path) -> None:
    said = run(kernel, tmp_path, "echo out; echo err >&2; uname -r; exit 7")
    assert said.output == f"out\n{kernel.manifest.release}\n"
    assert said.errors == "err\n"
    assert said.result.status == 7
    assert 0 < said.result.boot_s < said.result.started_s < said.result.wall_s


def test_bytes_come_as_they_are(kernel: GuestKernel, tmp_path: Path) -> None:
    program = "import os; os.write(1, bytes(range(256)) * 1000)"
    said = run(kernel, tmp_path, f"python3 -c '{program}'")
    assert said.data[Kind.OUTPUT] == bytes(range(256)) * 1000


def test_the_run_folder_is_the_hosts(kernel: GuestKernel, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("from the host")
    said = run(kernel, tmp_path, f"cd {RUN_FOLDER} && cat in && mkdir a && echo back > a/out")
    assert said.output == "from the host"
    assert (tmp_path / "a/out").read_text() == "back\n"


def test_output_is_live(kernel: GuestKernel, tmp_path: Path) -> None:
    """What the command says arrives while it runs: it goes on only when we have answered."""

    def answer(kind: Kind, data: bytes) -> None:
        assert (kind, data) == (Kind.OUTPUT, b"waiting\n")
        (tmp_path / "answer").touch()

    wait = f"echo waiting; until [ -e {RUN_FOLDER}/answer ]; do sleep 0.01; done"
    job = Job(("sh", "-c", wait))
    assert run_in_guest(kernel, job, tmp_path, output=answer).status == 0


def test_nothing_of_the_hosts_environment_comes_in(
    kernel: GuestKernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TESTBED_HOST_SECRET", "abc")
    job = Job(("/usr/bin/env",), {"OURS": "yes"}, folder="/usr")
    lines = set(run(kernel, tmp_path, job).output.splitlines())
    assert lines == {
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        *("HOME=/root", "LANG=C.UTF-8", "USER=root", "TERM=dumb", "OURS=yes"),
    }


def test_the_host_cannot_be_written_to(kernel: GuestKernel, tmp_path: Path) -> None:
    """By root in the guest, started by root on the host, by every way there is into hostfs."""
    outside, folder = tmp_path / "outside", tmp_path / "run"
    outside.mkdir()
    (outside / "file").write_text("host")
    script = f"""
        exec 2>&1
        echo guest > {outside}/file && cat {outside}/file  # in the guest's memory
        for path in / {outside} /proc/self/cwd/../.. /proc/self/cwd/../../outside; do
            mount -t hostfs none /mnt -o $path || echo cannot mount $path
            echo $path >> /mnt/file || mkdir /mnt/new || rm /mnt/file
            mount -o remount,rw /mnt || echo refused to write
            echo $path >> /mnt/file || mkdir /mnt/new || rm /mnt/file
            umount /mnt
        done
    """
    said = run(kernel, folder, textwrap.dedent(script))
    assert said.output.startswith("guest\n")
    # Each way twice: writing and making a folder, and removing where there is such a file.
    assert said.output.count("Read-only file system") == 2 * (4 + 4 + 2)
    assert said.output.count("refused to write") == 4
    assert (outside / "file").read_text() == "host"
    assert {path.name for path in outside.iterdir()} == {"file"}


def test_a_command_that_is_killed(kernel: GuestKernel, tmp_path: Path) -> None:
    assert run(kernel, tmp_path, "kill -9 $$").result.status == 128 + 9


def test_a_daemon_left_behind_does_not_keep_the_guest(kernel: GuestKernel, tmp_path: Path) -> None:
    said = run(kernel, tmp_path, "sleep 1000 & echo done")
    assert (said.output, said.result.status) == ("done\n", 0)


def test_a_program_that_is_not_there(kernel: GuestKernel, tmp_path: Path) -> None:
    with pytest.raises(GuestError, match="cannot run 'nonsense' in the guest: No such file"):
        run(kernel, tmp_path, Job(("nonsense",)))


def test_a_folder_that_is_not_there(kernel: GuestKernel, tmp_path: Path) -> None:
    with pytest.raises(GuestError) as caught:
        run(kernel, tmp_path, Job(("true",), folder="/nonsense"))
    assert caught.value.where == "/nonsense"


def test_a_second_guest_in_the_same_run_folder_is_refused(
    kernel: GuestKernel, tmp_path: Path
) -> None:
    with (
        Guest(kernel, Job(("sleep", "1000")), tmp_path, Machine()),
        pytest.raises(GuestError, match="another guest uses this run folder"),
    ):
        Guest(kernel, Job(("true",)), tmp_path, Machine())
    assert run(kernel, tmp_path, "true").result.status == 0, "free again"


def test_nothing_is_left(
    kernel: GuestKernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    folder = tmp_path / "run"
    run(kernel, folder, "true")
    assert [path.name for path in (folder / CONTROL_FOLDER).iterdir()] == ["console.log"]
    assert list((tmp_path / "home").iterdir()) == []


def test_a_guest_that_is_killed_leaves_no_process(kernel: GuestKernel, tmp_path: Path) -> None:
    with Guest(kernel, Job(("sleep", "1000")), tmp_path, Machine()) as guest:
        wait_until(lambda: len(processes_of_session(guest.pid)) > 1, "a process in the guest")
        os.kill(guest.pid, signal.SIGKILL)
        with pytest.raises(GuestError, match="was killed by SIGKILL"):
            guest.wait(Said())
    wait_until(lambda: not processes_of_session(guest.pid), "the guest's processes to end")


_OWNER = """
    import sys
    from pathlib import Path
    from testbed.guest.boot import Guest
    from testbed.guest.job import Job
    from testbed.guest.kernel_cache import GuestKernel, Manifest
    from testbed.guest.machine import Machine
    kernel = GuestKernel(Path(sys.argv[1]), Manifest("", {}, "", 0, "", 0, 0, 0))
    script = "trap 'echo interrupted; exit 3' INT; echo up; while :; do sleep 0.1; done"
    with Guest(kernel, Job(("bash", "-c", script)), Path(sys.argv[2]), Machine()) as guest:
        print(guest.pid, flush=True)
        def output(kind, data):
            print(data.decode(), end="", flush=True)
        print(guest.wait(output).status, flush=True)
"""


@pytest.fixture
def owner(kernel: GuestKernel, tmp_path: Path) -> Callable[[], subprocess.Popen[str]]:
    """A process that has a guest; its first line of output is the pid of the guest's kernel."""

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(_OWNER), kernel.binary, tmp_path],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )

    return start


def test_a_guest_ends_with_its_owner(owner: Callable[[], subprocess.Popen[str]]) -> None:
    with owner() as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        assert process.stdout.readline() == "up\n"
        assert len(processes_of_session(pid)) > 1
        process.kill()
    wait_until(lambda: not processes_of_session(pid), "the guest to end")


def test_ctrl_c_reaches_the_command(owner: Callable[[], subprocess.Popen[str]]) -> None:
    with owner() as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.read() == "interrupted\n3\n"
    assert process.returncode == 0


def test_threads_keep_their_registers(kernel: GuestKernel, tmp_path: Path) -> None:
    """Wide registers, too, which the host hands over as a whole (and AMX makes that large)."""
    program = """
        import hashlib, threading
        data = bytes(3000)
        right = hashlib.sha256(data).digest()
        wrong = []
        def work():
            for _ in range(300):
                if hashlib.sha256(data).digest() != right:
                    wrong.append(1)
        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        print(right.hex(), len(wrong))
    """
    import hashlib

    (tmp_path / "program.py").write_text(textwrap.dedent(program))
    said = run(kernel, tmp_path, f"python3 {RUN_FOLDER}/program.py")
    assert said.output == f"{hashlib.sha256(bytes(3000)).hexdigest()} 0\n"


def test_results_are_plain_values(kernel: GuestKernel, tmp_path: Path) -> None:
    result = run(kernel, tmp_path, "true").result
    assert isinstance(result, GuestResult)
    assert result.console == tmp_path / CONTROL_FOLDER / "console.log"


def test_a_guest_that_cannot_be_started(
    kernel: GuestKernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "arguments", lambda *_: [str(tmp_path / "no-setpriv-here")])
    with pytest.raises(HostTroubleError, match="cannot be started: No such file") as caught:
        Guest(kernel, Job(("true",)), tmp_path / "run", Machine())
    assert str(caught.value.where) == str(tmp_path / "no-setpriv-here")
    assert "util-linux" in str(caught.value.hint)
    assert {path.name for path in (tmp_path / "run" / CONTROL_FOLDER).iterdir()} <= {"console.log"}
