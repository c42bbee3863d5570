"""The real charon takes what we tell it; it needs no IPsec in the kernel for that."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.kernel.namespaces import find_program
from testbed.lab import Lab
from testbed.model import Builder
from tests.lab.conftest import unique
from tests.peers.ends import BRANCH

pytestmark = pytest.mark.skipif(
    find_program("charon-systemd") is None, reason="charon-systemd is not installed"
)

_PROGRAM = """
import json, sys
from pathlib import Path
from testbed.peers.ike import peer_from_json
from testbed.peers.strongswan import config
from testbed.peers.strongswan.process import charon, connect
from testbed.peers.strongswan.messages import ViciError

peer = peer_from_json(sys.stdin.read(), "stdin")
home = Path("/run/charon")
home.mkdir(mode=0o700)
log = home / "log"
found = {}
with charon(peer, home, log) as process, connect(process, home) as control:
    found["version"] = control.ask("version")
    control.ask("load-shared", config.shared_key(peer, "a key"))
    control.ask("load-conn", config.connection(peer))
    found["connections"] = control.collect("list-conns", "list-conn")
    for name, act in {
        "proposal": lambda: control.ask("load-conn", {"x": {"proposals": ["rot13-md5-modp1"]}}),
        "command": lambda: control.ask("make-coffee"),
        "event": lambda: control.listen("full-moon"),
    }.items():
        try:
            act()
        except ViciError as error:
            found[name] = error.what
found["log"] = log.read_text()
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, object]]:
    """What a charon in a node said to all this."""
    builder = Builder("charon")
    builder.host("node")
    name = unique("charon")
    folder = tmp_path_factory.mktemp("lab") / name
    package = str(Path(__file__).parents[2])
    with Lab.up(builder.build(), name=name, run_folder=folder) as lab:
        done = lab.run(
            "node",
            [sys.executable, "-c", _PROGRAM],
            input_text=BRANCH.to_json(),
            environment={"PYTHONPATH": package},
            check=True,
        )
    yield json.loads(done.stdout)


def test_it_is_strongswan(told: dict[str, dict[str, str]]) -> None:
    assert told["version"]["daemon"] == "charon-systemd"


def test_it_understood_the_connection(told: dict[str, list[dict[str, dict[str, object]]]]) -> None:
    (connections,) = told["connections"]
    connection = connections["branch"]
    assert connection["version"] == "IKEv2"
    assert connection["local_addrs"] == ["%any"]
    assert connection["remote_addrs"] == ["203.0.113.4"]
    assert connection["rekey_time"] == "21619"
    assert connection["dpd_delay"] == "45"
    children = connection["children"]
    assert isinstance(children, dict)
    assert children["net"]["rekey_time"] == "20277"
    assert children["net"]["local-ts"] == ["0.0.0.0/0"]


def test_its_refusals_are_errors_in_its_own_words(told: dict[str, str]) -> None:
    assert "charon refused load-conn: invalid value for: proposals" in told["proposal"]
    assert told["command"] == "charon has no command called 'make-coffee'"
    assert told["event"] == "charon has no event called 'full-moon'"


def test_its_log_has_the_form_that_we_read(told: dict[str, str]) -> None:
    assert "added vici connection: branch" in told["log"]
    assert "a key" not in told["log"]
