"""An ordinary user, without any right on the host, has a lab in a guest."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.guest.kernel_build import find_kernel

_ROOT = Path(__file__).parents[2]
_UID = 54322
_SCRIPT = """
    set -e
    trap 'testbed down theirs > /dev/null 2>&1 || :' EXIT
    testbed up pair --kernel guest --clock virtual --name theirs > /dev/null 2>&1
    testbed exec theirs client -- curl -s http://198.51.100.80/ > page
    grep -q "Directory listing" page && echo page
    testbed clock theirs --by 6h > /dev/null
    testbed exec theirs client -- sh -c 'date "+%F %H"; id -u'
    testbed exec theirs client -- sh -c 'echo x > /mnt/README.md' || true
    testbed capture theirs client:eth0 -c 1 -w here.pcapng 2> /dev/null &
    for try in $(seq 100); do testbed status theirs --json | grep -q stream && break; done
    testbed exec theirs client -- ping -q -c1 198.51.100.80 > /dev/null
    wait
    stat -c %u here.pcapng
    testbed down theirs | grep -o "is down"
"""


@pytest.fixture
def users_folder() -> Iterator[Path]:
    """A folder that an ordinary user owns and can reach."""
    with tempfile.TemporaryDirectory(prefix="testbed-user-") as name:
        os.chown(name, _UID, _UID)
        yield Path(name)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")
def test_an_ordinary_user_has_a_lab_that_waits(users_folder: Path) -> None:
    """The tree is bound to /mnt, for it may lie where this user cannot look."""
    kernel = find_kernel()
    assert kernel is not None
    cache = users_folder / "cache/testbed/guest-kernel"
    shutil.copytree(kernel.binary.parent, cache / kernel.key)
    python = Path(sys.executable)
    inside = Path("/mnt") / python.relative_to(_ROOT) if python.is_relative_to(_ROOT) else python
    drop = f"setpriv --reuid={_UID} --regid={_UID} --clear-groups --no-new-privs"
    program = f'testbed() {{ {shlex.quote(str(inside))} -B -m testbed "$@"; }}; {_SCRIPT}'
    script = (
        f"mount --bind {shlex.quote(str(_ROOT))} /mnt && cd {users_folder} && "
        f"exec {drop} bash -c {shlex.quote(program)}"
    )
    readme = (_ROOT / "README.md").read_bytes()
    result = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": "/mnt",
            "HOME": str(users_folder),
            "XDG_CACHE_HOME": str(users_folder / "cache"),
            "TESTBED_RUNS": str(users_folder / "runs"),
        },
        timeout=240,
    )
    said = result.stdout.splitlines()
    assert said == ["page", "2025-01-01 06", "0", str(_UID), "is down"], (
        result.stdout + result.stderr
    )
    assert (_ROOT / "README.md").read_bytes() == readme
    (run,) = (users_folder / "runs").iterdir()
    assert (run / "events.jsonl").stat().st_uid == _UID
    assert [path.name for path in (run / "guest").iterdir()] == ["console.log"]
