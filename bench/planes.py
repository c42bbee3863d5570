"""Packets per second and CPU time per packet of the MAP-E reference plane, beside the kernel's own.

Four labs of one shape are up at once and take turns.  A window of packets, one of each flow, is
sent from a socket in one node and awaited at sockets in another, so nothing is lost and everybody
forwards the same packets.  Kernel forwarding runs in the context of whoever sends, so the CPU time
of sender, receiver and daemons (and of the kernel's softirq threads) is all there is; what the same
window costs without any router is taken off.
"""

from __future__ import annotations

import socket
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.contender import descendants
from bench.figures import Sample, ratio
from bench.plane_labs import (
    DIRECT,
    MAPE,
    NFT,
    PC,
    PC_ADDRESS,
    PLAIN,
    SEEN_AS,
    SERVER,
    SERVER_ADDRESS,
    topology,
)
from bench.section import Section, ratio_json, sample_json, times, with_spread
from bench.traffic import Flow, LostPacketsError, Receiver, Sender, numbered, udp_packet
from testbed.lab import Lab

FLOWS = 200
"""As many as fit comfortably into the 240 ports of a v6plus customer."""
_PORT = 9
_FIRST_PORT = 20_000
_KINDS = (DIRECT, PLAIN, NFT, MAPE)
_SLICES = 10  # of each round: contenders take turns often, since the machine's mood changes fast
_SLICE_SECONDS = 0.1

UP, DOWN = "up", "down"
_DIRECTIONS = (UP, DOWN)


@dataclass(frozen=True)
class Turn:
    """What forwarding took: packets, seconds of wall time, and CPU seconds by who spent them.

    ``cpu`` holds every daemon by its role, ``self`` (sender, receiver and what the kernel forwards
    meanwhile) and ``softirq`` (the kernel's threads).
    """

    packets: int
    seconds: float
    cpu: Mapping[str, float]

    def __add__(self, other: Turn) -> Turn:
        cpu = {who: spent + other.cpu[who] for who, spent in self.cpu.items()}
        return Turn(self.packets + other.packets, self.seconds + other.seconds, cpu)

    @property
    def rate(self) -> float:
        """Packets per second."""
        return self.packets / self.seconds

    @property
    def cost(self) -> float:
        """CPU microseconds of everybody for each packet."""
        return sum(self.cpu.values()) * 1e6 / self.packets

    @property
    def daemons(self) -> dict[str, float]:
        """CPU microseconds of each daemon for each packet."""
        ours = {who: spent for who, spent in self.cpu.items() if who not in ("self", "softirq")}
        return {role: spent * 1e6 / self.packets for role, spent in ours.items()}


Turns = Mapping[tuple[str, str], Sequence[Turn]]
"""By contender and direction, one for each round."""


class _Plane:
    """A lab that is up, with its sockets."""

    def __init__(self, kind: str, lab: Lab) -> None:
        self._lab = lab
        self._daemons = dict(_daemons(lab))
        server = lab.socket(SERVER)
        server.bind((SERVER_ADDRESS, _PORT))
        inside = []
        for number in range(FLOWS):
            inside.append(lab.socket(PC))
            inside[-1].bind((PC_ADDRESS, _FIRST_PORT + number))
        seen = self._open_flows(inside, server)
        if {address for address, _ in seen} != {SEEN_AS[kind]}:
            raise LostPacketsError(f"the server saw {seen[0][0]}, not {SEEN_AS[kind]}", where=kind)
        up = [Flow(PC_ADDRESS, _FIRST_PORT + n, SERVER_ADDRESS, _PORT) for n in range(FLOWS)]
        down = [Flow(SERVER_ADDRESS, _PORT, address, port) for address, port in seen]
        self._paths = {
            UP: (self._sender(PC, up), Receiver([server])),
            DOWN: (self._sender(SERVER, down), Receiver(inside)),
        }

    def _sender(self, node: str, flows: list[Flow]) -> Sender:
        raw = self._lab.socket(node, socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        packets = [udp_packet(flow, numbered(number)) for number, flow in enumerate(flows)]
        return Sender(raw, packets)

    @staticmethod
    def _open_flows(inside: list[socket.socket], server: socket.socket) -> list[tuple[str, int]]:
        """Send one packet of each flow; the source that the server sees for each."""
        server.settimeout(3)
        seen: dict[bytes, tuple[str, int]] = {}
        for number, one in enumerate(inside):
            one.sendto(numbered(number), (SERVER_ADDRESS, _PORT))
            data, source = server.recvfrom(2048)
            seen[data] = source
        server.setblocking(False)
        return [seen[numbered(number)] for number in range(len(inside))]

    def turn(self, direction: str) -> Turn:
        """Forward windows for a while."""
        sender, receiver = self._paths[direction]
        receiver.take(sender.send())  # so that neighbours are known and caches warm
        before = self._cpu_times()
        begin = time.perf_counter()
        packets = 0
        while (seconds := time.perf_counter() - begin) < _SLICE_SECONDS:
            size = sender.send()
            receiver.take(size)
            packets += size
        after = self._cpu_times()
        return Turn(packets, seconds, {who: after[who] - before[who] for who in after})

    def _cpu_times(self) -> dict[str, float]:
        """CPU seconds of everybody who has a part in forwarding."""
        spent = {role: _cpu_seconds(pid) for role, pid in self._daemons.items()}
        return spent | {"self": time.process_time(), "softirq": _softirq_seconds()}


def run(rounds: int) -> Section:
    """Measure; raises LostPacketsError when a plane does not carry every packet."""
    turns: dict[tuple[str, str], list[Turn]] = defaultdict(list)
    with ExitStack() as stack:
        planes = {kind: stack.enter_context(_plane(kind)) for kind in _KINDS}
        for number in range(rounds):
            print(f"  round {number + 1} of {rounds}", file=sys.stderr, flush=True)
            for pair, turn in _round(planes).items():
                turns[pair].append(turn)
    return judge(turns)


def _round(planes: Mapping[str, _Plane]) -> dict[tuple[str, str], Turn]:
    total: dict[tuple[str, str], Turn] = {}
    for _ in range(_SLICES):
        for direction in _DIRECTIONS:
            for kind, plane in planes.items():
                turn, pair = plane.turn(direction), (kind, direction)
                total[pair] = total[pair] + turn if pair in total else turn
    return total


def judge(turns: Turns) -> Section:
    """The figures as a table; pure."""
    head = ("", "direction", "packets/s", "CPU, µs/packet", "less sending and receiving, µs")
    table: list[tuple[str, ...]] = [(*head, "nftables = 1", "each daemon, µs")]
    data: dict[str, object] = {}
    for direction in _DIRECTIONS:
        whole = {kind: Sample.of([t.cost for t in turns[kind, direction]]) for kind in _KINDS}
        own = {kind: _less(whole[kind], whole[DIRECT]) for kind in _KINDS if kind != DIRECT}
        for kind in _KINDS:
            found = turns[kind, direction]
            rate = Sample.of([turn.rate for turn in found])
            daemons = {
                role: Sample.of([turn.daemons[role] for turn in found]) for role in found[0].daemons
            }
            entry: dict[str, object] = {
                "packets_per_s": sample_json(rate),
                "cpu_us": sample_json(whole[kind]),
                "daemons_cpu_us": {role: sample_json(cost) for role, cost in daemons.items()},
            }
            cells = ["", ""]
            if kind != DIRECT:
                cells[0] = with_spread(own[kind])
                entry["own_cpu_us"] = sample_json(own[kind])
                # Both are differences of noisy figures: without a positive floor no quotient.
                if own[NFT].low > 0:
                    against = ratio(own[kind], own[NFT])
                    cells[1] = "1" if kind == NFT else times(against)
                    entry["nftables_ratio"] = ratio_json(against)
                else:
                    cells[1] = "lost in noise"
            shares = ", ".join(f"{role} {with_spread(cost)}" for role, cost in daemons.items())
            row = (kind, direction, with_spread(rate), with_spread(whole[kind]))
            table.append((*row, *cells, shares))
            data[f"{kind}, {direction}"] = entry
    return Section(
        title="The MAP-E reference plane beside the kernel's",
        about=_ABOUT,
        table=tuple(table),
        notes=(_NOTE,),
        data=data,
    )


def _less(whole: Sample, base: Sample) -> Sample:
    pairs = zip(whole.values, base.values, strict=True)
    return Sample.of([value - less for value, less in pairs])


@contextmanager
def _plane(kind: str) -> Iterator[_Plane]:
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        Lab.up(
            topology(kind),
            name=f"plane-{_KINDS.index(kind)}-{Path(folder).name}",
            run_folder=Path(folder) / "run",
        ) as lab,
    ):
        yield _Plane(kind, lab)


def _daemons(lab: Lab) -> Iterator[tuple[str, int]]:
    for pid in descendants(lab.pid):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if b"testbed.components.mape" in words:
            role = words[words.index(b"testbed.components.mape") + 1]
            yield role.decode(), pid


def _cpu_seconds(pid: int) -> float:
    """CPU time of a process, in nanoseconds' precision (/proc/PID/schedstat)."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def _softirq_seconds() -> float:
    """CPU time of the kernel threads that take over when there is much to forward."""
    return sum(
        _cpu_seconds(int(entry.parent.name))
        for entry in Path("/proc").glob("[0-9]*/comm")
        if entry.read_text().startswith("ksoftirqd/")
    )


_ABOUT = """\
64-byte UDP frames of 200 flows from a home to a server (up) and back (down), through two nodes: two
plain routers, an nftables `snat` and a router, and our CE and BR (pure Python over TUN: the
reference plane). They are sent in windows of one packet for each flow, each window awaited before
the next, so nothing is lost, and rates are those of a closed loop. CPU time is that of everybody
who has a part. Median (smallest-largest)."""

_NOTE = """\
*Less sending and receiving*: less what the same window cost in the same round over one cable
without a router. A daemon's time holds its system calls and the kernel's forwarding of what it
sends on."""
