"""``testbed test`` in a guest, by somebody who has no rights on the host."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.guest.kernel_cache import GuestKernel, cache_folder
from tests.guest_runs.conftest import REPOSITORY

_UID = 54321
_SHOWN = Path("/mnt")
"""Where the user finds the checkout, which may lie where this user cannot look."""


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder that the user owns and can reach."""
    with tempfile.TemporaryDirectory(prefix="testbed-user-") as name:
        yield Path(name)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")
def test_the_same_command_as_an_ordinary_user(kernel: GuestKernel, home: Path) -> None:
    cache = home / ".cache/testbed/guest-kernel"
    shutil.copytree(kernel.binary.parent, cache / kernel.key)
    if (cache_folder() / "sources").is_dir():  # which version the kernel is made of
        shutil.copytree(cache_folder() / "sources", cache / "sources")
    for folder, folders, files in os.walk(home):
        for name in (".", *folders, *files):
            os.chown(Path(folder, name), _UID, _UID)
    python = Path(sys.executable)
    if python.is_relative_to(REPOSITORY):
        python = _SHOWN / python.relative_to(REPOSITORY)
    user = f"setpriv --reuid={_UID} --regid={_UID} --clear-groups --no-new-privs"
    command = [str(python), "-m", "testbed", "test", "pair", "--clock", "virtual", "--json"]
    script = (
        f"mount --bind {shlex.quote(str(REPOSITORY))} {_SHOWN} && cd {_SHOWN} && "
        f"exec {user} {shlex.join(command)}"
    )
    environment = {key: value for key, value in os.environ.items() if key != "XDG_CACHE_HOME"}
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script],
        env={
            **environment,
            "HOME": str(home),
            "TESTBED_RUNS": str(home / "runs"),
            "PYTHONPATH": str(_SHOWN),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    said = json.loads(done.stdout)
    assert (done.returncode, said["passed"], said["failed"]) == (0, 2, 0), done.stderr
    assert {(one["kernel"], one["clock"]) for one in said["scenarios"]} == {("guest", "virtual")}
    owners = {path.lstat().st_uid for path in (home / "runs").rglob("*")}
    assert owners == {_UID}
    assert not (home / ".uml").exists()
