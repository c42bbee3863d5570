"""The tunnel itself: what its ends agree on, what the wire shows of it, and what nobody sees."""

from __future__ import annotations

import re
from itertools import groupby
from pathlib import Path

import pytest

from testbed.events import ChildSaDeleted, ChildSaEstablished, IkeSaDeleted, ServiceStarted
from testbed.peers.strongswan.process import CHARON
from testbed.scenarios.evidence import Evidence
from testbed.scenarios.scenario_lab import ScenarioLab
from topologies.azure_rekey.ends import AZURE_ADDRESS, PSK, PSK_FILE
from topologies.azure_rekey.needed import MARKS
from topologies.azure_rekey.topology import VM
from topologies.azure_rekey.wire import fields

pytestmark = MARKS

_AES_CBC, _3DES = "12", "3"
_SHA1, _SHA256 = "2", "12"
_GROUP_2 = "2"


def _established(lab: ScenarioLab) -> int:
    return sum(isinstance(record.event, ChildSaEstablished) for record in lab.events())


def _call_anew(lab: ScenarioLab) -> None:
    """Have the RTX start from nothing, and wait until both ends have a CHILD_SA again."""
    before = _established(lab)
    lab.service("rtx/ike", "restart")
    lab.wait_for(lambda _: _established(lab) >= before + 2, "the tunnel to come back")


def test_the_first_message_offers_azures_proposals_in_azures_order(
    lab: ScenarioLab, evidence: Evidence
) -> None:
    """AES256, AES128, 3DES, each with SHA1 before SHA256, all with DH group 2."""
    with lab.capture("azure:wan") as capture:
        _call_anew(lab)
    rows = fields(
        capture.path,
        f"isakmp.exchangetype == 34 && ip.dst == {AZURE_ADDRESS}",
        *("isakmp.tf.id.encr", "isakmp.ike2.attr.key_length", "isakmp.tf.id.integ"),
        "isakmp.tf.id.dh",
    )
    ciphers, lengths, digests, groups = (row.split(",") for row in rows[0])
    evidence.table(
        "Proposals of IKE_SA_INIT", ("cipher", "integrity"), zip(ciphers, digests, strict=True)
    )
    assert [cipher for cipher, _ in groupby(ciphers)] == [_AES_CBC, _3DES]
    assert lengths == ["256", "256", "128", "128"]
    assert digests == [_SHA1, _SHA256] * 3
    assert set(groups) == {_GROUP_2}


def test_all_of_it_goes_through_the_nat_in_udp(lab: ScenarioLab) -> None:
    """NAT detection moves both ends to port 4500; behind the NAT it is another address's port."""
    with lab.capture("azure:wan") as capture:
        _call_anew(lab)
        lab.run("pc", ["ping", "-c3", "-i0.2", VM], check=True)
    chosen = f"ip.dst == {AZURE_ADDRESS} && !icmp"
    seen = fields(capture.path, chosen, "ip.src", "ip.proto", "udp.dstport")
    assert {address for address, _, _ in seen} == {"198.51.100.2"}, "the home's, not the RTX's"
    assert {protocol for _, protocol, _ in seen} == {"17"}, "no bare ESP"
    ports = [port for port, _ in groupby(port for _, _, port in seen)]
    assert ports[-2:] == ["500", "4500"], "before that the old tunnel was taken down"
    assert len(fields(capture.path, "esp", "esp.spi")) == 6


def test_both_ends_select_all_traffic_and_the_rtx_checks_no_replay(
    lab: ScenarioLab, evidence: Evidence
) -> None:
    """Any-any selectors behind an XFRM interface; ``anti-replay-check=off`` at the RTX."""
    windows = {}
    # ip tells of a window twice: the plain one, and with "_" the large one, where there is one.
    script = "ip xfrm state | grep -oE 'replay[-_]window [0-9]+'"
    for node in ("rtx", "azure"):
        policies = lab.run(node, ["ip", "xfrm", "policy"], check=True).stdout
        chosen = re.findall(r"^src (\S+) dst (\S+) \n\tdir", policies, re.MULTILINE)
        assert set(chosen) == {("0.0.0.0/0", "0.0.0.0/0")}
        assert policies.count("if_id") == 3
        windows[node] = set(lab.run(node, ["sh", "-c", script], check=True).stdout.splitlines())
    shown = [(node, ", ".join(sorted(lines))) for node, lines in windows.items()]
    evidence.table("Anti-replay windows of the SAs", ("node", "ip xfrm state"), shown)
    assert windows == {
        "rtx": {"replay-window 0"},
        "azure": {"replay-window 0", "replay_window 64"},
    }


def test_nobody_sees_the_pre_shared_key(lab: ScenarioLab) -> None:
    """It is in one file of each end, for its owner only; in no process, no log, no run folder.

    Each search is shown something that it must find, lest it finds nothing because it cannot.
    """
    decoy = "/run/decoy"
    for node in ("rtx", "azure"):
        mode = lab.run(node, ["stat", "-c", "%a %U", PSK_FILE], check=True).stdout.strip()
        assert mode == "600 root"
        assert lab.get(node, PSK_FILE).strip() == PSK
        assert _in_processes(lab, node, PSK_FILE) == 0
        lab.put(node, decoy, "as secret as the key\n")
        assert _in_processes(lab, node, decoy) == 0
        assert _in_processes(lab, node, decoy, "it is as secret as the key, too") == 1
        lab.put(node, decoy, f"{CHARON}\n")
        assert _in_processes(lab, node, decoy) >= 1, "it looks into charon"
    assert lab.run("pc", ["cat", PSK_FILE]).status != 0, "other nodes do not have it"
    whole_run = lab.run_folder.parents[1]  # with what the guest tells of itself
    assert _in_files(whole_run, PSK) == []
    assert lab.run_folder / "events.jsonl" in _in_files(whole_run, "child-sa-established")


def _in_processes(lab: ScenarioLab, node: str, file: str, more: str = "searching") -> int:
    """How many arguments and settings of a node's processes have the text that is in a file.

    ``more`` is an argument of one of them.
    """
    every = "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null"
    script = f"{every} | tr '\\0' '\\n' | grep -cF -f {file}"
    counted = lab.run(node, ["sh", "-c", script, more])
    assert counted.status in (0, 1), counted  # 1: none
    return int(counted.stdout)


def _in_files(folder: Path, text: str) -> list[Path]:
    """The files below the folder that have the text."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path for path in files if text.encode() in path.read_bytes()]


def test_an_end_that_is_stopped_tells_of_the_end_of_its_sas(lab: ScenarioLab) -> None:
    """So does the other, to which it says good-bye; what they tell is the same."""
    before = len(lab.events())
    _call_anew(lab)
    deleted = [
        (record.node, record.event.by, record.event.why)
        for record in lab.events()[before:]
        if isinstance(record.event, IkeSaDeleted | ChildSaDeleted)
    ]
    assert sorted(deleted, key=str) == [
        ("azure", "peer", None),
        ("azure", None, "with-ike-sa"),
        ("rtx", "local", "closed"),
        ("rtx", None, "with-ike-sa"),
    ]


def test_a_charon_that_dies_is_an_event_and_the_service_comes_back(lab: ScenarioLab) -> None:
    """Killed from under us: the service ends with a message, and a restart brings the tunnel."""
    earlier = lab.events()
    *_, service = (
        record.event.pid
        for record in earlier
        if isinstance(record.event, ServiceStarted) and record.node == "rtx"
    )
    lab.run("rtx", ["sh", "-c", f"kill -9 $(ps -o pid= --ppid {service})"], check=True)
    lab.wait_for(
        lambda records: any(
            record.event.kind == "service-exited" and record.node == "rtx"
            for record in records[len(earlier) :]
        ),
        "the service to end",
    )
    log = (lab.run_folder / "logs" / "rtx-ike.log").read_text()
    assert "charon ended by itself (status -9)" in log
    before = _established(lab)
    lab.service("rtx/ike", "start")
    lab.wait_for(lambda _: _established(lab) >= before + 2, "the tunnel to come back")
    answered = lab.run("pc", ["ping", "-c1", VM])
    assert answered.ok


@pytest.fixture(autouse=True)
def _is_up(lab: ScenarioLab) -> None:
    lab.wait_for(lambda _: _established(lab) >= 2, "the tunnel")
