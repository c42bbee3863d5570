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


# What udev gives every user of an ordinary Debian, and containers often do not.
_OPEN_TUN = "mount -t tmpfs tun /dev/net && mknod -m 666 /dev/net/tun c 10 200"


def _as_ordinary_user(
    arguments: list[str], folder: Path, first: str = "true"
) -> subprocess.CompletedProcess[str]:
    """Run Python as a user without rights, who sees the tree at /mnt (in a private mount)."""
    python = Path(sys.executable)
    inside = Path("/mnt") / python.relative_to(_ROOT) if python.is_relative_to(_ROOT) else python
    command = shlex.join([str(inside), "-B", *arguments])
    drop = f"setpriv --reuid={_UID} --regid={_UID} --clear-groups --no-new-privs"
    bind = f"mount --bind {shlex.quote(str(_ROOT))} /mnt && cd /mnt"
    script = f"{first} && {bind} && exec {drop} {command}"
    return subprocess.run(
        ["unshare", "--mount", "sh", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env={
            **os.environ,
            "PYTHONPATH": "/mnt",
            "HOME": str(folder),
            "TESTBED_RUNS": str(folder / "runs"),
        },
        timeout=120,
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
    program = textwrap.dedent(_PROGRAM)
    result = _as_ordinary_user(["-c", program, str(users_folder)], users_folder)
    assert result.returncode == 0, result.stderr
    said = json.loads(result.stdout)
    assert said["euid"] == _UID
    assert said["ping"] == 0
    assert said["uid"] == "0", "root inside, nobody outside"
    assert said["packets"] >= 2
    assert "only one user exists inside" in said["limits"], "what the user cannot have is said"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")
@pytest.mark.needs("tun", "nginx", "unbound", "curl", "tshark")
def test_the_v6plus_line_runs_without_privilege(users_folder: Path) -> None:
    arguments = ["-m", "testbed", "test", "v6plus", "-k", "psid_71 or forged_source", "--json"]
    result = _as_ordinary_user(arguments, users_folder, _OPEN_TUN)
    said = json.loads(result.stdout)
    assert (said["passed"], said["failed"], said["skipped"]) == (5, 0, 0), result.stdout
    events = Path(said["run_folder"]).glob("labs/*/events.jsonl")
    assert all("running as an ordinary user" in path.read_text() for path in events)


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
    arguments = ["-c", textwrap.dedent(program), str(users_folder)]
    result = _as_ordinary_user(arguments, users_folder)
    assert "may not make a user namespace" in result.stdout, result.stderr
    assert "kernel.unprivileged_userns_clone=1" in result.stdout
