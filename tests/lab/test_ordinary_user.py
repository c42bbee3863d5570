"""A lab as an ordinary user: inside a user namespace, without any privilege on the host."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_UID = 54321
_PROGRAM = """
    import json, sys
    from pathlib import Path
    from testbed.lab import Lab
    from tests.lab.conftest import two_hosts
    with Lab.up(two_hosts(), name="ordinary", run_folder=Path(sys.argv[1]) / "run") as lab:
        ping = lab.run("alice", ["ping", "-c1", "-W2", "2001:db8::2"])
        with lab.capture("bob:eth0") as capture:
            lab.run("alice", ["ping", "-c1", "-W2", "192.0.2.2"], check=True)
        who = lab.run("alice", ["id", "-u"]).stdout.strip()
        print(json.dumps({"ping": ping.status, "uid": who, "packets": capture.packets,
                          "limits": lab.status()["limits"], "euid": __import__("os").geteuid()}))
"""


def _as_ordinary_user(program: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a program as a user without rights, who sees the tree at /mnt (in a private mount)."""
    python = Path(sys.executable)
    inside = Path("/mnt") / python.relative_to(_ROOT) if python.is_relative_to(_ROOT) else python
    command = shlex.join([str(inside), "-B", "-c", textwrap.dedent(program), str(folder)])
    drop = f"setpriv --reuid={_UID} --regid={_UID} --clear-groups --no-new-privs"
    script = f"mount --bind {shlex.quote(str(_ROOT))} /mnt && cd /mnt && exec {drop} {command}"
    return subprocess.run(
        ["unshare", "--mount", "sh", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": "/mnt", "HOME": str(folder)},
        timeout=60,
    )


@pytest.fixture
def users_folder() -> object:
    """A folder that the ordinary user owns and can reach."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="testbed-user-") as name:
        os.chown(name, _UID, _UID)
        yield Path(name)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")
def test_a_lab_without_privilege(users_folder: Path) -> None:
    result = _as_ordinary_user(_PROGRAM, users_folder)
    assert result.returncode == 0, result.stderr
    said = json.loads(result.stdout)
    assert said["euid"] == _UID
    assert said["ping"] == 0
    assert said["uid"] == "0", "root inside, nobody outside"
    assert said["packets"] >= 2
    assert "only one user exists inside" in said["limits"], "what the user cannot have is said"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")
def test_without_user_namespaces_the_error_says_what_to_allow(users_folder: Path) -> None:
    limit = Path("/proc/sys/user/max_user_namespaces")
    program = f"""
        import sys
        from pathlib import Path
        from testbed.errors import MissingFeatureError
        from testbed.kernel import libc
        def refuse(flags):
            raise PermissionError(1, "Operation not permitted")
        libc.unshare = refuse  # what a kernel with {limit} = 0 answers
        from testbed.lab import Lab
        from tests.lab.conftest import two_hosts
        try:
            Lab.up(two_hosts(), name="refused", run_folder=Path(sys.argv[1]) / "run")
        except MissingFeatureError as error:
            print(error)
    """
    result = _as_ordinary_user(program, users_folder)
    assert "may not make a user namespace" in result.stdout, result.stderr
    assert "kernel.unprivileged_userns_clone=1" in result.stdout
