"""Mininet builds somebody's topology, with the few things set right that a lab needs.

Switches of Open vSwitch find a database and daemon of the lab's own; a queueing discipline that the
kernel refuses is an error and not a link without delay; a switch that no controller serves switches
by itself.
"""

from __future__ import annotations

import random
import subprocess
from typing import Any

from mininet.link import OVSIntf, TCIntf
from mininet.net import Mininet
from mininet.node import OVSSwitch, RemoteController
from mininet.util import quietRun

from testbed.backends.mininet_side.custom import Custom, load, own_code
from testbed.backends.mininet_side.quiet import complaints
from testbed.errors import KernelUnsupportedError, LabError
from testbed.peers.openvswitch import daemon as openvswitch

_CONTROLLER_PATIENCE_S = 15
notes: list[str] = []
"""What users of the lab should know of how it was built."""


def build(file: str, topo: str, options: list[str], seed: int) -> Mininet:
    """The network, up.

    Raises:
        LabError: the file is wrong, its code raised, or Mininet could not build what it asks for.
    """
    random.seed(seed)  # MAC addresses
    custom = load(file, topo, options)
    notes.extend(custom.notes)
    _check_tc()
    _adapt_open_vswitch(has_controller=bool(custom.controllers))
    quietRun("ip link set lo up")  # controllers listen there
    with own_code(file, f"building {topo or 'its topology'}"):
        return _build(custom)


def _build(custom: Custom) -> Mininet:
    net = Mininet(
        topo=custom.topo,
        switch=custom.switch,
        host=custom.host,
        link=custom.link,
        controller=list(custom.controllers) or None,
        build=False,
        autoSetMacs=custom.own_macs,
        autoStaticArp=custom.static_arp,
        ipBase=custom.ip_base,
    )
    net.build()
    net.start()
    for controller in net.controllers:
        _check_controller(controller)
    _check_ports(net)
    # What Mininet itself makes light of; tc only warns of bursts and quanta in great numbers.
    notes.extend(
        f"Mininet: {line.strip('* ')}" for line in complaints.lines if "Warning:" not in line
    )
    if net.controllers and not net.waitConnected(timeout=_CONTROLLER_PATIENCE_S):
        waiting = ", ".join(switch.name for switch in net.switches if not switch.connected())
        raise LabError(
            f"after {_CONTROLLER_PATIENCE_S} s these switches have no controller: {waiting}",
            hint="a controller must run inside the lab, whose network nothing outside can reach"
            if any(isinstance(one, RemoteController) for one in net.controllers)
            else "; ".join(f"{one.name}: {_last_words(one)}" for one in net.controllers),
        )
    return net


def _check_tc() -> None:
    """Mininet only prints what tc complains of, and goes on without."""
    original = TCIntf.tc

    def checked(self: Any, cmd: str, tc: str = "tc") -> Any:
        output = original(self, cmd, tc)
        asked = " add " in f" {cmd} "
        said = [
            line.strip()
            for line in (output or "").splitlines()
            if line.strip() and not line.strip().startswith("Warning:")
        ]
        if asked and said:
            raise KernelUnsupportedError(
                f"{cmd % (tc, self)}: {' '.join(said)}",
                where=f"{self.node.name}:{self.name}",
                hint="this kernel may lack the queueing discipline (netem for delay and loss); "
                "a guest has it: --kernel guest",
            )
        return output

    TCIntf.tc = checked


def _adapt_open_vswitch(*, has_controller: bool) -> None:
    """Switches of Open vSwitch find daemons of this lab, and a datapath that it can have."""
    state: dict[str, Any] = {"trouble": None}
    original_setup = OVSSwitch.setup.__func__
    original_init = OVSSwitch.__init__

    def setup(cls: Any) -> None:
        if "daemons" not in state:
            state["trouble"] = trouble = openvswitch.why_no_kernel_datapath()
            why = (
                "kernel datapath"
                if trouble is None
                else f"user datapath (no datapath in the kernel: {trouble})"
            )
            notes.append(f"Open vSwitch {openvswitch.version()}, {why}")
            context = openvswitch.running(with_kernel=state["trouble"] is None)
            state["daemons"] = (context, context.__enter__())  # they end with the lab
        original_setup(cls)

    def init(self: Any, name: str, *arguments: Any, **options: Any) -> None:
        setup(OVSSwitch)
        if not arguments:
            if not has_controller:
                options.setdefault("failMode", "standalone")
            wanted = options.get("datapath")
            if wanted == "kernel" and state["trouble"] is not None:
                raise KernelUnsupportedError(
                    f"{name} is to have the kernel's datapath: {state['trouble']}",
                    where=name,
                    hint='modprobe openvswitch, --kernel guest, or datapath="user"',
                )
            options.setdefault("datapath", "kernel" if state["trouble"] is None else "user")
        original_init(self, name, *arguments, **options)

    OVSSwitch.setup = classmethod(setup)
    OVSSwitch.__init__ = init


def _check_controller(controller: Any) -> None:
    """See that a controller that Mininet started is there: it looks at neither end nor output."""
    command = str(getattr(controller, "command", "")).split()
    if isinstance(controller, RemoteController) or not command:
        return
    jobs = controller.cmd("jobs -r").strip()
    if not jobs:
        raise LabError(
            f"the controller {command[0]!r} ended at once: {_last_words(controller)}",
            where=controller.name,
        )


def _last_words(controller: Any) -> str:
    said = controller.cmd(f"tail -n 3 /tmp/{controller.name}.log")
    return " ".join(said.split()) or "it said nothing"


def _check_ports(net: Mininet) -> None:
    """See that Open vSwitch took every port: Mininet does not look."""
    for switch in net.switches:
        if not isinstance(switch, OVSSwitch):
            continue
        for intf in switch.intfList():
            if intf.name == "lo" or isinstance(intf, OVSIntf):
                continue
            words = ["ovs-vsctl", "--timeout=5", "get", "interface", intf.name, "error"]
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            trouble = (done.stderr if done.returncode else done.stdout).strip().strip('"')
            if trouble not in ("", "[]"):
                raise LabError(
                    f"Open vSwitch does not have the port {intf.name}: {trouble}", where=switch.name
                )


def words_of(net: Mininet) -> dict[str, Any]:
    """What was built, as far as Mininet knows: the kernel is asked for the rest."""
    switches, controllers = set(net.switches), set(net.controllers)
    nodes = [
        {
            "name": node.name,
            "role": "switch" if node in switches else "host",
            "class": type(node).__name__,
            "pid": node.pid,
            "controller": node in controllers,
        }
        for node in (*net.hosts, *net.switches, *net.controllers)
    ]
    links, inner = [], []
    for link in net.links:
        ends = [link.intf1, link.intf2]
        if any(isinstance(intf, OVSIntf) for intf in ends):
            inner.append(str(link))
            continue
        links.append(
            {
                "ends": [
                    {"node": intf.node.name, "interface": intf.name, "tc": _tc(intf)}
                    for intf in ends
                ]
            }
        )
    return {"nodes": nodes, "links": links, "inner": inner, "notes": notes}


def _tc(intf: Any) -> dict[str, Any]:
    if not isinstance(intf, TCIntf):
        return {}
    known = ("bw", "delay", "jitter", "loss", "max_queue_size")
    return {key: intf.params[key] for key in known if intf.params.get(key) is not None}
