"""The programs that labs and scenarios use, and which of them this machine has."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from testbed.doctor.capability import Capability, Kind, State
from testbed.kernel.namespaces import find_program

_PATIENCE = 20.0
"""Seconds that a program may take to say its version (this is a busy machine's allowance)."""


INSTALL = "apt-get install --no-install-recommends "
"""What a remedy that is a Debian package begins with; the package follows."""


@dataclass(frozen=True, slots=True)
class Program:
    """A program by its name in the search path.

    ``package`` is the Debian package that brings it.  ``version`` finds the version in what
    ``arguments`` make it print; a program of the same name from elsewhere (busybox, inetutils)
    does not match and is reported as another one than the scenarios were written for.
    """

    name: str
    package: str
    purpose: str
    arguments: tuple[str, ...]
    version: str


PROGRAMS: tuple[Program, ...] = (
    Program(
        "ip", "iproute2", "look at a node's interfaces and routes", ("-V",), r"iproute2-(\S+?),?\s"
    ),
    Program(
        "nft",
        "nftables",
        "packet filters and plain NAT in routers",
        ("--version",),
        r"nftables v(\S+)",
    ),
    Program("ps", "procps", "see what runs inside a node", ("--version",), r"procps-ng (\S+)"),
    Program(
        "curl", "curl", "web requests from a chosen source port", ("--version",), r"^curl (\S+)"
    ),
    Program("dig", "bind9-dnsutils", "name look-ups", ("-v",), r"DiG ([0-9.]+)"),
    Program(
        "ping", "iputils-ping", "echo requests, path MTU discovery", ("-V",), r"from iputils (\S+)"
    ),
    Program(
        "traceroute",
        "traceroute",
        "the path as a host sees it",
        ("-V",),
        r"traceroute for Linux, version (\S+)",
    ),
    Program("iperf3", "iperf3", "streams of TCP and UDP", ("--version",), r"^iperf (\S+)"),
    Program("nginx", "nginx", "web server that logs client ports", ("-v",), r"nginx/(\S+)"),
    Program("unbound", "unbound", "name server of the lab's internet", ("-V",), r"^Version (\S+)"),
    Program(
        "tcpdump",
        "tcpdump",
        "a second opinion on captures",
        ("--version",),
        r"tcpdump version (\S+)",
    ),
    Program(
        "tshark",
        "tshark",
        "judge of the captures",
        ("--version",),
        r"TShark \(Wireshark\) (\S+?)\.?\s",
    ),
    Program(
        "swanctl",
        "strongswan-swanctl",
        "strongSwan, at the ends of IPsec tunnels",  # its daemon has no option that tells
        ("--version",),
        r"^strongSwan (\S+) swanctl",
    ),
    Program(
        "vtysh",
        "frr",
        "FRR: routers that speak OSPF and BGP",
        ("-h",),
        r"^Integrated shell for FRR \(version ([^)\s]+)\)",
    ),
    Program(
        "mn",
        "mininet",
        "the backend mininet, and the topologies of others",
        ("--version",),
        r"^(\d\S*)$",
    ),
    Program(
        "ovs-vsctl",
        "openvswitch-switch",
        "Open vSwitch switches",
        ("--version",),
        r"^ovs-vsctl \(Open vSwitch\) (\S+)",
    ),
    Program(
        "ovs-testcontroller",
        "openvswitch-testcontroller",
        "the controller that Mininet starts by default",
        ("--version",),
        r"^ovs-testcontroller \(Open vSwitch\) (\S+)",
    ),
)

PREFIX = "program:"
"""``program:NAME`` is the need of a program that is not in the list above."""

Runner = Callable[[tuple[str, ...]], str]
Finder = Callable[[str], str | None]


def find_programs(
    programs: Iterable[Program] = PROGRAMS,
    *,
    find: Finder = find_program,
    run: Runner | None = None,
) -> tuple[Capability, ...]:
    """Look for each program and ask it for its version; ``find`` and ``run`` are for tests."""
    ask = run or _output_of
    with ThreadPoolExecutor(max_workers=4) as pool:  # they mostly wait for their own start
        return tuple(pool.map(lambda program: _examine(program, find, ask), programs))


def find_others(needs: Iterable[str], *, find: Finder = find_program) -> tuple[Capability, ...]:
    """The programs among these needs that are not in the list (``program:NAME``)."""
    names = dict.fromkeys(need for need in needs if need.startswith(PREFIX))
    return tuple(_other(name, find(name.removeprefix(PREFIX))) for name in names)


def _other(name: str, path: str | None) -> Capability:
    state = State.NO if path is None else State.YES
    program = name.removeprefix(PREFIX)
    remedy = f"install the package that brings {program}" if path is None else ""
    return Capability(
        name, Kind.PROGRAM, state, "scenarios ask for it", path or "not found", remedy
    )


def _examine(program: Program, find: Finder, run: Runner) -> Capability:
    def verdict(state: State, detail: str, remedy: str = "") -> Capability:
        return Capability(program.name, Kind.PROGRAM, state, program.purpose, detail, remedy)

    install = INSTALL + program.package
    path = find(program.name)
    if path is None:
        return verdict(State.NO, "not found", install)
    try:
        output = run((path, *program.arguments))
    except OSError as error:
        return verdict(State.NO, f"{path} cannot be run: {error.strerror or error}", install)
    except subprocess.TimeoutExpired as error:
        return verdict(
            State.NO,
            f"{path} did not say its version in {error.timeout:g} s",
            f"run it by hand: {path} {' '.join(program.arguments)}",
        )
    match = re.search(program.version, output, re.MULTILINE)
    if match is None:
        first = next(iter(output.strip().splitlines()), "nothing")
        return verdict(
            State.LIMITED,
            f"{path} is another {program.name} than that of {program.package}: it says {first!r}",
            install,
        )
    return verdict(State.YES, f"{match[1]} ({path})")


def _output_of(command: tuple[str, ...]) -> str:
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,  # several print their version there
        timeout=_PATIENCE,
        check=False,
    )
    output = done.stdout.decode("utf-8", "replace")
    if done.returncode < 0 or done.returncode in {126, 127}:  # a signal, or a library is missing
        raise OSError(f"exit status {done.returncode}: {output.strip()}")
    return output
