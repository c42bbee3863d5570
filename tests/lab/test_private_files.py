"""A node's own file that holds a secret of the lab is its owner's alone."""

from __future__ import annotations

from collections.abc import Callable

from testbed.lab import Lab
from testbed.model import Builder, Service, Topology

_SECRET = "between the two of us"


def test_a_file_with_a_secret_is_private_and_others_are_not(up: Callable[[Topology], Lab]) -> None:
    builder = Builder("private")
    files = {
        "/etc/daemon/psk": f"{_SECRET}\n",
        "/etc/daemon/conf": "verbose = yes\n",
        "/run/daemon/psk": f"key: {_SECRET}",
    }
    service = Service("daemon", ("sleep", "1000"), secrets=(_SECRET,))
    builder.host("node", services=[service], files=files)
    builder.host("other", files={"/etc/daemon/copy": _SECRET})
    lab = up(builder.build())
    modes = lab.run("node", ["stat", "-c", "%a %n", *files], check=True).stdout.splitlines()
    assert modes == ["600 /etc/daemon/psk", "644 /etc/daemon/conf", "600 /run/daemon/psk"]
    assert lab.get("node", "/etc/daemon/psk") == f"{_SECRET}\n"
    copy = lab.run("other", ["stat", "-c", "%a", "/etc/daemon/copy"], check=True).stdout
    assert copy == "600\n", "also in a node that has no service with that secret"
    kept = [path for path in lab.run_folder.rglob("*") if path.is_file()]
    assert not [path for path in kept if _SECRET.encode() in path.read_bytes()]
