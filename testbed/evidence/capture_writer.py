"""The pure half of a capture: frames and drop notices in, pcapng blocks out.

Frames of many interfaces arrive in bunches.  They are held for a *window* of time and leave in the
order of their timestamps.  While a frame is held, a notice that a component dropped its packet
becomes a comment on it; the packet is known by its key, which is that of
:func:`testbed.components.packet.digest.packet_key`.  A notice whose packet was captured nowhere on
its node is written as a packet of its own on an interface called ``node (dropped)``.
"""

from __future__ import annotations

import heapq
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

from testbed import __version__
from testbed.components.packet.digest import packet_key
from testbed.evidence import pcapng
from testbed.evidence.frame_layers import ip_length, ip_packets
from testbed.kernel.packet_socket import Frame

_HELD_BYTES = 64 * 1024 * 1024

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


@dataclass(slots=True, eq=False)  # two frames are never the same, whatever they hold
class _Held:
    """A frame that waits for its turn."""

    interface: int
    frame: Frame
    keys: tuple[str, ...] = ()
    comments: tuple[str, ...] = ()

    def mark(self, pending: _Pending) -> None:
        """Take a notice's comment if the notice may mean this frame."""
        notice = pending.notice
        if (
            self.interface not in pending.marked
            and self.frame.time_ns <= notice.time_ns + _SLACK_NS
            and notice.comment not in self.comments
        ):
            self.comments += (notice.comment,)
            pending.marked.add(self.interface)


class _Node:
    """A node of the capture.  Its frames are looked up by key only while it has notices."""

    def __init__(self) -> None:
        self.index: dict[str, list[_Held]] | None = None
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
        self._heap: list[tuple[int, int, _Held]] = []
        self._held_bytes = 0
        self._order = count()
        self._node_names = [label.partition("/")[0] for label, _ in interfaces]
        self._nodes = {name: _Node() for name in self._node_names}
        self._noticed: dict[str, _Node] = {}  # those with an index
        self._pseudo: dict[str, int] = {}
        self._blocks: list[bytes] = []

    def begin(self) -> list[bytes]:
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
        return blocks

    def add_frame(self, interface: int, frame: Frame) -> None:
        """Take in a frame of the interface with this number."""
        held = _Held(interface, frame)
        node = self._nodes[self._node_names[interface]]
        if node.index is not None:
            self._index(node.index, held)
            self._mark_with_pending(node, held)
        self._hold(held)

    def _hold(self, held: _Held) -> None:
        heapq.heappush(self._heap, (held.frame.time_ns, next(self._order), held))
        self._held_bytes += len(held.frame.data)

    def _index(self, index: dict[str, list[_Held]], held: _Held) -> None:
        packets = ip_packets(held.frame.data, self._interfaces[held.interface][1])
        held.keys = tuple(packet_key(packet) for packet in packets)
        for key in held.keys:
            index.setdefault(key, []).append(held)

    def _mark_with_pending(self, node: _Node, held: _Held) -> None:
        for key in held.keys:
            for pending in node.pending.get(key, ()):
                held.mark(pending)

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
            for _, _, held in sorted(self._heap, key=lambda entry: entry[:2]):
                if self._node_of(held) is node:
                    self._index(node.index, held)
        pending = _Pending(notice, now_ns + self._window_ns)
        for held in reversed(node.index.get(notice.key, ())):
            held.mark(pending)
        node.pending.setdefault(notice.key, []).append(pending)

    def _node_of(self, held: _Held) -> _Node | None:
        if held.interface >= len(self._node_names):
            return None
        return self._nodes[self._node_names[held.interface]]

    def next_due_ns(self) -> int | None:
        """When :meth:`take` will next have something to do; None when it may sleep."""
        times = [self._heap[0][0] + self._window_ns] if self._heap else []
        for node in self._noticed.values():
            times.append(node.quiet_ns)
            for same_key in node.pending.values():
                times += [pending.deadline_ns for pending in same_key]
        return min(times, default=None)

    def take(self, now_ns: int) -> list[bytes]:
        """The blocks whose time has come."""
        self._expire(now_ns)
        due = now_ns - self._window_ns
        while self._heap and (self._heap[0][0] <= due or self._held_bytes > self._held_limit):
            self._emit(heapq.heappop(self._heap)[2])
        blocks, self._blocks = self._blocks, []
        return blocks

    def take_all(self, now_ns: int) -> list[bytes]:
        """Everything taken in so far, without waiting for the window to pass."""
        for name, node in self._noticed.items():
            for same_key in node.pending.values():
                for pending in same_key:
                    self._write_unseen(name, pending)
        self._expire(now_ns)
        while self._heap:
            self._emit(heapq.heappop(self._heap)[2])
        blocks, self._blocks = self._blocks, []
        return blocks

    def finish(self, now_ns: int, counts: Sequence[tuple[int, int]]) -> list[bytes]:
        """The last blocks; ``counts`` are frames received and lost of each interface."""
        blocks = self.take_all(now_ns)
        for number, (received, lost) in enumerate(counts):
            blocks.append(
                pcapng.interface_statistics(
                    number, now_ns, start_ns=self._start_ns, received=received, dropped=lost
                )
            )
        return blocks

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
            self._blocks.append(
                pcapng.interface_description(
                    label,
                    pcapng.LINKTYPE_RAW,
                    description="packets dropped here that no captured interface has seen",
                )
            )
        notice = pending.notice
        frame = Frame(notice.time_ns, False, notice.head, ip_length(notice.head))
        self._hold(_Held(number, frame, comments=(notice.comment,)))

    def _emit(self, held: _Held) -> None:
        frame = held.frame
        self._held_bytes -= len(frame.data)
        node = self._node_of(held)
        if node is not None and node.index is not None:
            for key in held.keys:
                same = node.index.get(key)
                if same is not None and held in same:
                    same.remove(held)
                    if not same:
                        del node.index[key]
        flags = pcapng.FLAG_OUTBOUND if frame.outgoing else pcapng.FLAG_INBOUND
        if frame.checksum_pending:
            flags |= pcapng.FLAG_CHECKSUM_NOT_READY
        self._blocks.append(
            pcapng.enhanced_packet(
                held.interface,
                frame.time_ns,
                frame.data,
                frame.length,
                flags=flags,
                comments=held.comments,
            )
        )
