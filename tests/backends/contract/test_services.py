"""Services: ready in order, their ends told, their secrets kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from testbed.errors import LabError, ServiceError
from testbed.events import ServiceExited
from testbed.lab import Lab
from testbed.model import Builder, Ready, Service, Topology
from testbed.supervisor.channel import running_labs
from tests.lab.conftest import unique
from tests.waiting import wait_until

Up = Callable[[Topology], Lab]


def test_services_become_ready_in_order_and_their_end_is_told(up: Up) -> None:
    builder = Builder("services")
    builder.host(
        "box",
        services=[
            Service(
                "second",
                ("sh", "-c", "test -e /var/first-was-here && echo ready; exec sleep 1000"),
                ready=Ready("log", "^ready$"),
                after=("box/first",),
            ),
            Service(
                "first",
                ("sh", "-c", "touch /var/first-was-here; exec sleep 1000"),
                ready=Ready("file", "/var/first-was-here"),
            ),
        ],
    )
    lab = up(builder.build())
    assert set(lab.status()["services"].values()) == {"ready"}
    lab.fault("kill-service", "box/first")
    assert lab.status()["services"]["box/first"] == "exited -9"
    ends = [record.event for record in lab.events() if isinstance(record.event, ServiceExited)]
    assert ends == [ServiceExited(-9, expected=False)]
    lab.service("box/first", "start")
    with pytest.raises(LabError, match="runs already"):
        lab.service("box/first", "start")
    with pytest.raises(LabError, match="nothing called 'bless'"):
        lab.service("box/first", "bless")
    assert lab.status()["services"]["box/first"] == "ready"


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        (Service("bad", ("sh", "-c", "echo my last words; exit 3")), "my last words"),
        (
            Service("slow", ("sleep", "1000"), ready=Ready("tcp", "80", timeout=0.2)),
            r"not ready after 0\.2 s \(waited for tcp 80\)",
        ),
        (Service("missing", ("no-such-daemon",)), "cannot run 'no-such-daemon'"),
        (
            Service("hung", ("sleep", "1000"), ready=Ready("command", "sleep 1000", timeout=0.3)),
            r"not ready after 0\.3 s \(waited for command sleep 1000\)",
        ),
    ],
)
def test_a_service_that_does_not_come_up_ends_the_lab_with_its_log(
    service: Service, expected: str, tmp_path: Path, backend: str
) -> None:
    if service.name == "bad":
        service = Service("bad", service.command, ready=Ready("tcp", "80"))
    builder = Builder("failing")
    builder.host("box", services=[service])
    builder.host("other")
    builder.link("cable", "box:eth0 192.0.2.1/24", "other:eth0 192.0.2.2/24")
    name = unique("failing")
    with pytest.raises(ServiceError, match=expected):
        Lab.up(builder.build(), name=name, run_folder=tmp_path / "run", backend=backend)
    wait_until(lambda: name not in running_labs(), "the half-built lab to end")


_SECRET = 'correct"horse\\bättery'


def test_secrets_of_a_service_stay_out_of_events_and_logs(up: Up) -> None:
    builder = Builder("secret")
    builder.host(
        "box",
        services=[
            Service(
                "talkative",
                ("sh", "-c", "cat {run}/psk; echo; exec sleep 1000"),
                files=(("psk", _SECRET),),
                secrets=(_SECRET,),
                ready=Ready("log", "."),
            )
        ],
    )
    builder.host("other")
    builder.link("cable", "box:eth0 192.0.2.1/24", "other:eth0 192.0.2.2/24")
    lab = up(builder.build())
    lab.note(f"the key is {_SECRET}")
    lab.run("box", ["echo", _SECRET])
    lab.down()
    files = [path for path in lab.run_folder.rglob("*") if path.is_file()]
    assert {"topology.json", "events.jsonl", "box-talkative.log"} <= {path.name for path in files}
    for path in files:
        text = path.read_text()
        for form in (_SECRET, json.dumps(_SECRET)[1:-1], 'correct"horse'):
            assert form not in text, path
