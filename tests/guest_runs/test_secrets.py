"""What a lab keeps secret is nowhere in the folder of its run, whatever scenarios do with it."""

from __future__ import annotations

import json
import textwrap

from testbed.guest.kernel_cache import GuestKernel
from tests.guest_runs.conftest import Site

_SECRET = 'correct"horse\\bättery & <staple>'
_PARTS = ("horse", "ttery", "staple")
_TOPOLOGY = f"""
    from testbed.model import Builder, Ready, Service

    SECRET = {_SECRET!r}

    def topology():
        lab = Builder("small", "A host with a key")
        service = Service(
            "ike",
            ("sh", "-c", "cat /etc/key; exec sleep 100000"),
            secrets=(SECRET,),
            ready=Ready("log", "."),
        )
        lab.host("alice", files={{"/etc/key": SECRET + "\\n"}}, services=[service])
        return lab.build()
"""
_TELLS = """
    from topology import SECRET

    def test_tells(lab, evidence):
        \"\"\"Shows it in every way it can.\"\"\"
        lab.note(f"the key is {SECRET}")
        lab.run("alice", ["cat", "/etc/key"], check=True)
        evidence.text("the key", SECRET)
        evidence.table("keys", ("name", "key"), [("psk", SECRET)])
        print(SECRET)
        assert SECRET == "something else"

    def test_its_lab_does_not_come_up(fresh_lab, topology):
        \"\"\"And the failure shows it, too.\"\"\"
        from dataclasses import replace
        from testbed.model import Ready
        (node,) = topology.nodes
        (service,) = node.services
        other = SECRET.replace("correct", "other")
        service = replace(
            service, secrets=(other,), command=("false",), ready=Ready("log", "x", timeout=1.0)
        )
        try:
            node = replace(node, services=(service,), files=(("/etc/key", other),))
            fresh_lab(replace(topology, nodes=(node,)))
        except Exception as error:
            raise AssertionError(f"no lab with {other}") from error
"""


def test_no_file_of_a_run_holds_a_secret(kernel: GuestKernel, site: Site) -> None:
    """One scenario tells it on the host, one in a guest; both fail and so are told of at length."""
    (site.home / "topology.py").write_text(textwrap.dedent(_TOPOLOGY))
    path = "import sys\n    sys.path.insert(0, str(pathlib.Path(__file__).parent))\n"
    site.write("here", f"    {path}{_TELLS}")
    mark = '    pytestmark = pytest.mark.needs("virtual-time")\n'
    site.write("there", f"    {path}{mark}{_TELLS}")
    done = site.run("--json")
    assert done.returncode == 1, done.stdout + done.stderr
    said = json.loads(done.stdout)
    assert (said["passed"], said["failed"]) == (0, 4), said
    assert sorted(one["kernel"] for one in said["scenarios"]) == ["guest", "guest", "host", "host"]

    files = [file for file in site.run_folder.rglob("*") if file.is_file()]
    names = {file.name for file in files}
    assert {"results.jsonl", "junit.xml", "report.json", "report.html", "run.json"} <= names
    assert {"topology.json", "events.jsonl", "alice-ike.log"} <= names
    assert len([file for file in files if file.name == "junit.xml"]) == 2, "the guest's own, too"
    marks = 0
    for file in files:
        text = file.read_bytes().decode(errors="replace")
        for part in _PARTS:
            at = text.find(part)
            assert at < 0, f"{file}: {text[at - 80 : at + 80]}"
        marks += text.count("[redacted]") + text.count("[secret]")
    assert marks > 20, "it was there, and is blotted out"
    assert {name: end for name, (end, _) in site.junit().items()} == {
        "test_tells": "failure",
        "test_its_lab_does_not_come_up": "failure",
    }
