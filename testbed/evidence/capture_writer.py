"""The pure half of a capture: frames and drop notices in, pcapng blocks out.

Frames of many interfaces arrive in bunches.  They are held for a *window* of time and leave in the
order of their timestamps.  While a frame is held, a notice that a component dropped its packet
becomes a comment on it; the packet is known by its key, which is that of
:func:`testbed.components.packet.digest.packet_key`.  A notice whose packet was captured nowhere on
its node is written as a packet of its own on an interface called ``node (dropped)``.
"""

from __future__ import annotations

import platform
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count, islice
from typing import NamedTuple

from testbed import __version__
from testbed.components.packet.digest import packet_key
from testbed.evidence import pcapng
from testbed.evidence.frame_layers import ip_length, ip_packets
from testbed.kernel.packet_socket import Frame

_HELD_BYTES = 64 * 1024 * 1024

# By whether the frame is outgoing and whether its checksum is pending.
_FLAGS = {
    (False, False): pcapng.FLAG_INBOUND,
    (False, True): pcapng.FLAG_INBOUND | pcapng.FLAG_CHECKSUM_NOT_READY,
    (True, False): pcapng.FLAG_OUTBOUND,
    (True, True): pcapng.FLAG_OUTBOUND | pcapng.FLAG_CHECKSUM_NOT_READY,
}

# A component tells of a drop after the packet was captured.  A few of the first frames after a
# capture starts bear the time they were read at instead (the kernel stamps frames only once
# somebody wants stamps), so the packet may seem a little younger than its notice.
_SLACK_NS = 10_000_000


@dataclass(frozen=True, slots=True)
class Notice:
    """A component of ``node`` did something (dropped) with the packet known by ``key``.

    ``head`` is the first bytes of the IP packet, written when no capture holds the packet.
    """

    node: str
    key: str
    comment: str
    time_ns: int
    head: bytes = b""


@dataclass(slots=True)
class _Pending:
    """A notice that may still find packets: those read after it but captured before."""

    notice: Notice
    deadline_ns: int
    marked: set[int] = field(default_factory=set)
    written: bool = False


class Blocks(NamedTuple):
    """Blocks for the file, and how many of them are packets."""

    data: bytes
    packets: int


# A frame that waits for its turn: its time, its number in order of arrival, interface and frame.
# There can be hundreds of thousands, so it is a bare tuple, and it sorts by itself.
_Held = tuple[int, int, int, Frame]


class _Node:
    """A node of the capture.  Its frames are looked up by key only while it has notices."""

    def __init__(self) -> None:
        self.index: dict[str, list[_Held]] | None = None
        self.keys: dict[int, tuple[str, ...]] = {}  # by number in order of arrival
        self.pending: dict[str, list[_Pending]] = {}
        self.quiet_ns = 0


class CaptureWriter:
    """Merges, comments and encodes.

    Args:
        interfaces: label (``node/interface``) and LINKTYPE of each; numbers count from 0.
        window_ns: how long a frame is held.  Longer merges better and lets later notices in.
        start_ns: when the capture began.
        names: names to store for addresses, which Wireshark shows.
        held_bytes: when more than this is held, the oldest frames leave early.
    """

    def __init__(
        self,
        interfaces: Sequence[tuple[str, int]],
        *,
        window_ns: int,
        start_ns: int,
        names: Mapping[str, str] | None = None,
        held_bytes: int = _HELD_BYTES,
    ) -> None:
        self._interfaces = list(interfaces)
        self._window_ns = window_ns
        self._start_ns = start_ns
        self._names = names or {}
        self._held_limit = held_bytes
        self._held: list[_Held] = []
        self._held_bytes = 0
        self._oldest_ns: int | None = None
        self._order = count()
        self._comments: dict[int, tuple[str, ...]] = {}  # by number in order of arrival
        self._node_names = [label.partition("/")[0] for label, _ in interfaces]
        self._nodes = {name: _Node() for name in self._node_names}
        self._noticed: dict[str, _Node] = {}  # those with an index
        self._pseudo: dict[str, int] = {}
        self._new_interfaces: list[bytes] = []

    def begin(self) -> Blocks:
        """The blocks a file begins with."""
        system = f"{platform.system()} {platform.release()}"
        blocks = [
            pcapng.section_header(
                hardware=platform.machine(), os=system, application=f"testbed {__version__}"
            )
        ]
        if self._names:
            blocks.append(pcapng.name_resolution(self._names))
        blocks += [pcapng.interface_description(label, kind) for label, kind in self._interfaces]
        return Blocks(b"".join(blocks), 0)

    def add_frames(self, interface: int, frames: Sequence[Frame]) -> None:
        """Take in frames of the interface with this number, in the order they were captured."""
        if not frames:
            return
        held = [
            (frame.time_ns, number, interface, frame)
            for frame, number in zip(frames, self._order, strict=False)
        ]
        if self._noticed:
            node = self._nodes[self._node_names[interface]]
            if node.index is not None:
                for one in held:
                    self._index(node, node.index, one)
                    self._mark_with_pending(node, one)
        self._hold(held)

    def _hold(self, held: list[_Held]) -> None:
        self._held += held
        self._held_bytes += sum(len(frame.data) for _, _, _, frame in held)
        first = min(held)[0]
        if self._oldest_ns is None or first < self._oldest_ns:
            self._oldest_ns = first

    def _index(self, node: _Node, index: dict[str, list[_Held]], held: _Held) -> None:
        _, number, interface, frame = held
        packets = ip_packets(frame.data, self._interfaces[interface][1])
        keys = node.keys[number] = tuple(packet_key(packet) for packet in packets)
        for key in keys:
            index.setdefault(key, []).append(held)

    def _mark_with_pending(self, node: _Node, held: _Held) -> None:
        for key in node.keys[held[1]]:
            for pending in node.pending.get(key, ()):
                self._mark(held, pending)

    def _mark(self, held: _Held, pending: _Pending) -> None:
        """Comment a frame with a notice if the notice may mean it."""
        time_ns, number, interface, _ = held
        notice = pending.notice
        present = self._comments.get(number, ())
        if (
            interface not in pending.marked
            and time_ns <= notice.time_ns + _SLACK_NS
            and notice.comment not in present
        ):
            self._comments[number] = (*present, notice.comment)
            pending.marked.add(interface)

    def add_notice(self, notice: Notice, now_ns: int) -> None:
        """Comment the packet of a notice, on each interface of the node the last one like it.

        A notice of a node that is not captured is ignored.
        """
        node = self._nodes.get(notice.node)
        if node is None:
            return
        node.quiet_ns = now_ns + 2 * self._window_ns
        if node.index is None:
            node.index = {}
            self._noticed[notice.node] = node
            self._held.sort()
            for held in self._held:
                if self._node_of(held[2]) is node:
                    self._index(node, node.index, held)
        pending = _Pending(notice, now_ns + self._window_ns)
        for held in reversed(node.index.get(notice.key, ())):
            self._mark(held, pending)
        node.pending.setdefault(notice.key, []).append(pending)

    def _node_of(self, interface: int) -> _Node | None:
        if interface >= len(self._node_names):
            return None
        return self._nodes[self._node_names[interface]]

    def next_due_ns(self) -> int | None:
        """When :meth:`take` will next have something to do; None when it may sleep."""
        times = [] if self._oldest_ns is None else [self._oldest_ns + self._window_ns]
        for node in self._noticed.values():
            times.append(node.quiet_ns)
            for same_key in node.pending.values():
                times += [pending.deadline_ns for pending in same_key]
        return min(times, default=None)

    def take(self, now_ns: int) -> Blocks:
        """The blocks whose time has come."""
        self._expire(now_ns)
        self._held.sort()
        last = bisect_right(self._held, now_ns - self._window_ns, key=_time)
        too_much = self._held_bytes - self._held_limit
        for _, _, _, frame in islice(self._held, last):
            too_much -= len(frame.data)
        while too_much > 0 and last < len(self._held):
            too_much -= len(self._held[last][3].data)
            last += 1
        return self._emit(last)

    def take_all(self, now_ns: int) -> Blocks:
        """Everything taken in so far, without waiting for the window to pass."""
        for name, node in self._noticed.items():
            for same_key in node.pending.values():
                for pending in same_key:
                    self._write_unseen(name, pending)
        self._expire(now_ns)
        self._held.sort()
        return self._emit(len(self._held))

    def finish(self, now_ns: int, counts: Sequence[tuple[int, int]]) -> Blocks:
        """The last blocks; ``counts`` are frames received and lost of each interface."""
        rest = self.take_all(now_ns)
        statistics = [
            pcapng.interface_statistics(
                number, now_ns, start_ns=self._start_ns, received=received, dropped=lost
            )
            for number, (received, lost) in enumerate(counts)
        ]
        return Blocks(rest.data + b"".join(statistics), rest.packets)

    def _expire(self, now_ns: int) -> None:
        for name, node in list(self._noticed.items()):
            for key in list(node.pending):
                waiting = []
                for pending in node.pending[key]:
                    if pending.deadline_ns > now_ns:
                        waiting.append(pending)
                    else:
                        self._write_unseen(name, pending)
                if waiting:
                    node.pending[key] = waiting
                else:
                    del node.pending[key]
            if not node.pending and node.quiet_ns <= now_ns:
                node.index = None
                node.keys.clear()
                del self._noticed[name]

    def _write_unseen(self, name: str, pending: _Pending) -> None:
        """Write the packet of a notice that no interface of the node has shown."""
        if pending.marked or pending.written:
            return
        pending.written = True
        number = self._pseudo.get(name)
        if number is None:
            number = self._pseudo[name] = len(self._interfaces)
            label = f"{name} (dropped)"
            self._interfaces.append((label, pcapng.LINKTYPE_RAW))
            self._new_interfaces.append(
                pcapng.interface_description(
                    label,
                    pcapng.LINKTYPE_RAW,
                    description="packets dropped here that no captured interface has seen",
                )
            )
        notice = pending.notice
        frame = Frame(notice.time_ns, False, notice.head, ip_length(notice.head))
        order = next(self._order)
        self._comments[order] = (notice.comment,)
        self._hold([(notice.time_ns, order, number, frame)])

    def _emit(self, count: int) -> Blocks:
        """The blocks of the first ``count`` frames held, which leave."""
        leaving = self._held[:count]
        del self._held[:count]
        self._oldest_ns = self._held[0][0] if self._held else None
        blocks, self._new_interfaces = self._new_interfaces, []
        comments = self._comments
        for time_ns, number, interface, frame in leaving:
            blocks.append(
                pcapng.enhanced_packet(
                    interface,
                    time_ns,
                    frame.data,
                    frame.length,
                    flags=_FLAGS[frame.outgoing, frame.checksum_pending],
                    comments=comments.pop(number, ()) if comments else (),
                )
            )
            self._held_bytes -= len(frame.data)
        if self._noticed:
            for held in leaving:
                self._forget(held)
        return Blocks(b"".join(blocks), len(leaving))

    def _forget(self, held: _Held) -> None:
        """Take a frame that leaves out of its node's index."""
        node = self._node_of(held[2])
        if node is None or node.index is None:
            return
        for key in node.keys.pop(held[1], ()):
            same = [other for other in node.index.get(key, ()) if other[1] != held[1]]
            if same:
                node.index[key] = same
            else:
                node.index.pop(key, None)


def _time(held: _Held) -> int:
    return held[0]
