"""One ``testbed test`` on the host and in guests: one outcome, one report, one junit.xml."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from testbed.guest.kernel_cache import GuestKernel
from tests.guest_runs.conftest import Site
from tests.waiting import wait_until

_HOST = '''
    def test_here(lab, evidence):
        """On the host."""
        evidence.text("where", pathlib.Path("/proc/version").read_text())

    @pytest.mark.needs("program:no-such-program-here")
    def test_nowhere(lab):
        """Nowhere."""
'''
_HOURS = '''
    pytestmark = pytest.mark.needs("virtual-time")

    def test_hours(lab, evidence):
        """A day in a guest."""
        time.sleep(86400)
        evidence.text("where", pathlib.Path("/proc/version").read_text())
        assert lab.run("alice", ["ping", "-c1", "-W2", "192.0.2.2"]).ok

    def test_wrong(lab):
        """Nobody answers."""
        assert lab.run("alice", ["ping", "-c1", "-W1", "192.0.2.99"]).ok, "no answer in the guest"
'''


def _of(scenarios: list[dict[str, object]], name: str) -> dict[str, object]:
    (found,) = [one for one in scenarios if str(one["id"]).endswith(f"::{name}")]
    return found


def test_both_kinds_in_one_run(kernel: GuestKernel, site: Site) -> None:
    site.write("host", _HOST)
    site.write("hours", _HOURS)
    done = site.run("--json")
    assert done.returncode == 1, done.stdout + done.stderr
    said = json.loads(done.stdout)
    assert (said["passed"], said["failed"], said["skipped"]) == (2, 1, 1)
    assert [group["count"] for group in said["groups"]] == [1, 2, 1]

    junit = site.junit()
    assert {name: end for name, (end, _) in junit.items()} == {
        "test_here": "passed",
        "test_nowhere": "skipped",
        "test_hours": "passed",
        "test_wrong": "failure",
    }
    assert junit["test_here"][1] == {"backend": "netns", "kernel": "host", "clock": "real"}
    properties = junit["test_hours"][1]
    assert float(properties.pop("virtual_seconds")) > 86400
    reason = "virtual time is needed"
    assert properties == {
        "backend": "netns",
        "kernel": "guest",
        "clock": "virtual",
        "kernel_reason": reason,
    }

    report = json.loads((site.run_folder / "report.json").read_text())
    assert report["counts"] == {"failed": 1, "error": 0, "skipped": 1, "passed": 2}
    assert any(
        "2 in a guest, virtual clock: virtual time is needed" in n for n in report["run"]["notes"]
    )
    assert any(kernel.key in note for note in report["run"]["notes"])
    for name, machine, word in (
        ("test_here", "host", "Linux"),
        ("test_hours", "guest, virtual clock", kernel.manifest.release),
    ):
        one = _of(report["scenarios"], name)
        assert one["machine"] == machine
        assert word in json.dumps(one["evidence"])
    wrong = _of(report["scenarios"], "test_wrong")
    assert "no answer in the guest" in str(wrong["why"])
    links = [*wrong["files"], *report["captures"], *_of(report["scenarios"], "test_hours")["files"]]  # type: ignore[misc]
    assert len(links) > 4
    for link in links:
        assert (site.run_folder / link["path"]).stat().st_size > 0
    html = (site.run_folder / "report.html").read_text()
    assert "guest, virtual clock (virtual time is needed)" in html
    assert len(list(site.run_folder.rglob("report.html"))) == 1


_DIES = '''
    def test_kills_the_guest(lab, evidence):
        """The guest panics."""
        evidence.text("before", "this was seen")
        pathlib.Path("/proc/sysrq-trigger").write_text("c")
        time.sleep(60)

    def test_after(lab):
        """Never begun."""
'''
_LIVES = '''
    def test_lives(lab):
        """In another guest."""
'''


def test_a_guest_that_dies_takes_nothing_else_along(kernel: GuestKernel, site: Site) -> None:
    site.write("dies", _DIES)
    site.write("lives", _LIVES)
    done = site.run("--kernel", "guest")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 passed, 2 failed, 0 skipped" in done.stdout
    assert {name: end for name, (end, _) in site.junit().items()} == {
        "test_kills_the_guest": "error",
        "test_after": "error",
        "test_lives": "passed",
    }
    report = json.loads((site.run_folder / "report.json").read_text())
    dead = _of(report["scenarios"], "test_kills_the_guest")
    assert "before its command did" in str(dead["why"])
    assert dead["outcome"] == _of(report["scenarios"], "test_after")["outcome"] == "error"
    assert list(site.run_folder.glob("guests/small-dies/labs/*/events.jsonl"))


_MEETS = '''
    def test_meets(lab):
        """Waits for the one who watches."""
        folder = pathlib.Path("/testbed")
        (folder / "here").touch()
        while not (folder / "go").exists():
            time.sleep(0.02)
'''


def test_two_guests_at_a_time_and_the_third_waits(kernel: GuestKernel, site: Site) -> None:
    for name in "abc":
        site.write(name, _MEETS)
    with site.start("--kernel", "guest", "--jobs", "2") as process:
        try:
            wait_until(
                lambda: all(_is_there(site, name, "here") for name in "ab"), "two at once", 120
            )
            assert not _is_there(site, "c", "guest"), "the third has not been booted"
            for name in "abc":
                (_guest_folder(site, name) / "go").touch()
        finally:
            out, err = process.communicate(timeout=120)
    assert process.returncode == 0, out + err
    assert "3 passed" in out
    assert list((site.folder / "home").iterdir()) == [], "no ~/.uml"


def _is_there(site: Site, name: str, file: str) -> bool:
    return (_guest_folder(site, name) / file).exists()


def _guest_folder(site: Site, name: str) -> Path:
    found = list((site.folder / "runs").glob(f"*/guests/small-{name}"))
    return found[0] if found else site.folder / "nowhere"


_FOR_EVER = '''
    def test_done(lab):
        """Comes to its end."""

    def test_for_ever(lab):
        """Has no end, by any clock."""
        pathlib.Path("/testbed/here").touch()
        while True:
            time.sleep(1)

    def test_never(lab):
        """Is never begun."""
'''


def _guests_of(folder: Path) -> list[int]:
    """Kernels of guests whose working folder lies in this folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink().is_relative_to(folder):
                found.append(int(process.name))
        except OSError:
            continue
    return found


@pytest.mark.parametrize("clock", ["real", "virtual"])
def test_ctrl_c_while_a_guest_runs(kernel: GuestKernel, site: Site, clock: str) -> None:
    site.write("ever", _FOR_EVER)
    name = "ever" if clock == "real" else "ever-virtual"
    with site.start("--kernel", "guest", "--clock", clock) as process:
        wait_until(lambda: _is_there(site, name, "here"), "the scenario", 120)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
    assert process.returncode == 130, out + err
    assert "INTERRUPTED" in out
    assert "1 passed, 1 failed, 0 skipped" in out
    report = json.loads((site.run_folder / "report.json").read_text())
    outcomes = {str(one["id"]).rpartition("::")[2]: one["outcome"] for one in report["scenarios"]}
    assert outcomes == {"test_done": "passed", "test_for_ever": "error"}
    assert (site.run_folder / "junit.xml").exists()
    assert _guests_of(site.folder) == []
    assert list(site.run_folder.glob("guests/*/guest/*")) == list(
        site.run_folder.glob("guests/*/guest/console.log")
    )


def test_ctrl_c_while_a_guest_boots(kernel: GuestKernel, site: Site) -> None:
    site.write("ever", _FOR_EVER)
    with site.start("--kernel", "guest") as process:
        booting = "guest/console.log"
        wait_until(lambda: _is_there(site, "ever", booting), "the guest to boot", 120)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
    assert process.returncode == 130, out + err
    assert "0 passed" in out
    assert _guests_of(site.folder) == []


def test_ctrl_c_on_the_host(site: Site) -> None:
    """The same without a guest: what was interrupted has not passed."""
    text = _FOR_EVER.replace("/testbed/here", str(site.folder / "here"))
    site.write("ever", text)
    with site.start("--kernel", "host") as process:
        wait_until((site.folder / "here").exists, "the scenario", 60)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130, out + err
    assert "1 passed, 1 failed, 0 skipped" in out
    report = json.loads((site.run_folder / "report.json").read_text())
    outcomes = {str(one["id"]).rpartition("::")[2]: one["outcome"] for one in report["scenarios"]}
    assert outcomes == {"test_done": "passed", "test_for_ever": "error"}


def test_stop_at_the_first_failure(kernel: GuestKernel, site: Site) -> None:
    site.write("hours", _HOURS.replace("def test_hours", "def test_z_hours"))
    site.write("lives", _LIVES)
    text = (site.home / "test_hours.py").read_text()
    (site.home / "test_hours.py").write_text(text.replace("test_wrong", "test_a_wrong"))
    done = site.run("--kernel", "guest", "--stop", "--jobs", "1", "-k", "wrong or lives")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "0 passed, 1 failed, 0 skipped" in done.stdout
