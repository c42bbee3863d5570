"""What cannot be: one clear error for an impossible choice, a reason for whatever is not run."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from testbed.guest.errors import GuestKernelError
from testbed.guest.kernel_build import Wanted
from testbed.guest.kernel_cache import cache_folder
from tests.guest_runs.conftest import Site
from tests.waiting import wait_until

_HOURS = '''
    @pytest.mark.needs("virtual-time")
    def test_hours(lab):
        """Hours."""
        time.sleep(3600)

    def test_now(lab):
        """On the host."""
'''
_NO_TOOLS = "import testbed.guest.kernel_key as k; k.PATH = '/nonexistent'"


def _one_error(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stderr.count("error:") == 1, done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--start", "nonsense"), ("'nonsense' is no moment", "--start", "2017-07-16 09:56:52")),
        (("--clock", "virtual", "--kernel", "host"), ("needs the guest kernel", "--kernel guest")),
        (("--clock", "virtaul"), ("no clock is called 'virtaul'", 'did you mean "virtual"')),
        (("--kernel", "gest"), ("no kernel is called 'gest'", 'did you mean "guest"')),
        (("--seed", "-1"), ("-1 is no seed",)),
        (("--kernel", "guest", "--keep"), ("cannot be kept",)),
    ],
)
def test_choices_that_cannot_be(
    site: Site, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    site.write("hours", _HOURS)
    _one_error(site.run(*arguments), *words)
    assert not (site.folder / "runs").exists(), "refused before anything is done"


def test_throughput_in_virtual_time_is_refused(site: Site) -> None:
    site.write("speed", '@pytest.mark.needs("throughput")\ndef test_speed(lab): pass')
    done = site.run("--clock", "virtual", before=_NO_TOOLS)  # no guest is even looked for
    _one_error(done, "refused with a virtual clock", "would mean nothing")


def test_an_unknown_need_names_its_place_and_the_nearest(site: Site) -> None:
    site.write("typing", '@pytest.mark.needs("netm")\ndef test_x(lab): pass')
    _one_error(
        site.run(),
        "nobody knows the need 'netm'",
        "topologies/small/test_typing.py:3 (test_x)",
        'did you mean "netem"',
    )


def test_missing_tools_are_named_and_what_needs_no_guest_goes_on(site: Site) -> None:
    site.write("hours", _HOURS)
    site.environment["XDG_CACHE_HOME"] = str(site.folder / "cache")
    done = site.run("--json", before=_NO_TOOLS)
    assert done.returncode == 0, done.stdout + done.stderr
    said = json.loads(done.stdout)
    assert (said["passed"], said["failed"], said["skipped"]) == (1, 0, 1)
    (why,) = [one["why"] for one in said["scenarios"] if one["outcome"] == "skipped"]
    assert "virtual time is needed, and there is no guest kernel" in why
    assert "needs gcc" in why
    assert "apt-get install" in why
    assert said["groups"][1]["refused"]


def test_missing_tools_when_a_guest_was_asked_for(site: Site) -> None:
    site.write("hours", _HOURS)
    site.environment["XDG_CACHE_HOME"] = str(site.folder / "cache")
    _one_error(site.run("--kernel", "guest", before=_NO_TOOLS), "gcc", "apt-get install")


def _damage(folder: Path) -> None:
    (folder / "linux").write_bytes(b"no kernel")
    manifest = {
        **{"key": folder.name, "made_of": {}, "release": "6", "size": 9, "sha256": "0" * 64},
        **{"compiled_files": 1, "cpu_s": 1, "wall_s": 1},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))


def _of_another_key(folder: Path) -> None:
    _damage(folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "key": "other"}))


@pytest.fixture
def cached(site: Site) -> Path:
    """The folder in a cache of the test's own where this checkout's kernel would lie."""
    try:
        wanted = Wanted.here(cache_folder())
    except GuestKernelError as error:
        pytest.skip(f"no guest kernel: {error.what}")
    cache = site.folder / "cache/testbed/guest-kernel"
    sources = cache_folder() / "sources"
    cache.mkdir(parents=True)
    if sources.is_dir():
        (cache / "sources").symlink_to(sources)  # so that the version, too, is the same
    site.environment["XDG_CACHE_HOME"] = str(site.folder / "cache")
    return cache / str(wanted.key)


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (_damage, "is not the one that was built"),
        (_of_another_key, "belongs to another key"),
        (lambda folder: None, "is not complete"),
    ],
    ids=["damaged", "of another key", "empty"],
)
def test_a_wrong_cached_kernel_is_a_failure_and_no_skip(
    site: Site, cached: Path, spoil: Callable[[Path], None], word: str
) -> None:
    site.write("hours", _HOURS)
    cached.mkdir()
    spoil(cached)
    done = site.run()
    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 passed, 1 failed, 0 skipped" in done.stdout
    shown = " ".join(done.stdout.split())
    assert f"the cached guest kernel {word}" in shown
    assert "rm -r" in shown
    assert site.junit()["test_hours"][0] == "error"


def test_a_wrong_cached_kernel_when_a_guest_was_asked_for(site: Site, cached: Path) -> None:
    site.write("hours", _HOURS)
    cached.mkdir()
    _damage(cached)
    _one_error(site.run("--kernel", "guest"), "is not the one that was built", "rm -r")


def test_no_room_for_the_build(site: Site, cached: Path) -> None:
    site.write("hours", _HOURS)
    before = "import testbed.guest.kernel_build as k; k.NEEDED_BYTES = 1 << 60"
    done = site.run(before=before)
    assert done.returncode == 1, done.stdout + done.stderr
    shown = " ".join(done.stdout.split())
    assert "MB are free" in shown
    assert "XDG_CACHE_HOME" in shown
    assert "1 passed, 1 failed, 0 skipped" in done.stdout


def test_ctrl_c_while_the_kernel_is_built(site: Site, cached: Path) -> None:
    """What ran before is reported; the build leaves nothing half-made."""
    site.write("hours", _HOURS)
    building = cached.parent / "building"
    with site.start() as process:
        wait_until(building.exists, "the build to begin", 60)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130, out + err
    assert "1 passed, 0 failed, 0 skipped" in out
    assert not building.exists()
    assert not cached.exists()
    report = json.loads((site.run_folder / "report.json").read_text())
    assert [one["outcome"] for one in report["scenarios"]] == ["passed"]
