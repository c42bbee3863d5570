"""The floor: what the kernel itself needs to make the line, with as little Python as possible.

Messages packed by hand, no layer, no checks, one process, nothing for a user: each node is an
``unshare`` and a descriptor, all cables go out in batches, each node's addresses and routes in one
batch.  It builds the same nodes, cables, addresses, routes and forwarding as the other contenders.

    python -m bench.floor 200      prints one line of JSON
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import subprocess
import sys
import time

from bench.contender import Report, descendants
from bench.line import LEFT, RIGHT, Line, left_address, right_address

_CLONE_NEWNET = 0x4000_0000
_REQUEST, _ACK, _EXCL, _CREATE = 0x1, 0x4, 0x200, 0x400
_NEWLINK, _NEWADDR, _NEWROUTE, _ERROR = 16, 20, 24, 2
_LEFT_INDEX, _RIGHT_INDEX = 2, 3  # 1 is the loopback
_CABLES_A_BATCH = 32

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _attribute(kind: int, data: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(data), kind) + data + bytes(-len(data) % 4)


def _interface(index: int, flags: int = 0) -> bytes:
    return struct.pack("=BBHiII", 0, 0, 0, index, flags, flags)


class _Kernel:
    """A route socket that stays in the namespace it was made in."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
        self._queue: list[bytes] = []

    def add(self, kind: int, flags: int, body: bytes) -> None:
        size, sequence = 16 + len(body), len(self._queue)
        head = struct.pack("=IHHII", size, kind, flags | _REQUEST | _ACK, sequence, 0)
        self._queue.append(head + body)

    def flush(self) -> None:
        waiting = len(self._queue)
        self._socket.send(b"".join(self._queue))
        self._queue.clear()
        while waiting:
            data = self._socket.recv(65536)
            offset = 0
            while offset < len(data):
                size, kind = struct.unpack_from("=IH", data, offset)
                if kind == _ERROR:
                    (error,) = struct.unpack_from("=i", data, offset + 16)
                    if error:
                        raise OSError(-error, os.strerror(-error))
                    waiting -= 1
                offset += (size + 3) & ~3

    def cable(self, left_fd: int, right_fd: int) -> None:
        right = _interface(_LEFT_INDEX) + _attribute(3, LEFT.encode() + b"\0")
        right += _attribute(28, struct.pack("=I", right_fd))
        info = _attribute(1, b"veth\0") + _attribute(2, _attribute(1, right))
        body = _interface(_RIGHT_INDEX) + _attribute(3, RIGHT.encode() + b"\0")
        body += _attribute(28, struct.pack("=I", left_fd)) + _attribute(18, info)
        self.add(_NEWLINK, _CREATE | _EXCL, body)

    def up(self, index: int) -> None:
        self.add(_NEWLINK, 0, _interface(index, 1))

    def address(self, index: int, text: str) -> None:
        data = socket.inet_aton(text)
        body = struct.pack("=BBBBI", socket.AF_INET, 30, 0, 0, index)
        self.add(_NEWADDR, _CREATE | _EXCL, body + _attribute(1, data) + _attribute(2, data))

    def route(self, prefix: str, via: str) -> None:
        network, length = prefix.split("/")
        body = struct.pack("=BBBBBBBBI", socket.AF_INET, int(length), 0, 0, 254, 4, 0, 1, 0)
        body += _attribute(1, socket.inet_aton(network)) + _attribute(5, socket.inet_aton(via))
        self.add(_NEWROUTE, _CREATE | _EXCL, body)

    def close(self) -> None:
        self._socket.close()


def _write_setting(key: str, value: int) -> None:
    descriptor = os.open("/proc/sys/" + key.replace(".", "/"), os.O_WRONLY)
    os.write(descriptor, str(value).encode())
    os.close(descriptor)


def build(line: Line) -> tuple[list[int], list[_Kernel]]:
    """Make the line; returns what keeps its nodes alive."""
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    outer = _Kernel()
    nodes, kernels = [], []
    for node in range(line.nodes):
        _check(_libc.unshare(_CLONE_NEWNET))
        nodes.append(os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC))
        kernels.append(_Kernel())
        _write_setting("net.ipv4.ip_forward", 1)
        for key, value in line.settings(node).items():
            _write_setting(key, value)
    _check(_libc.setns(home, _CLONE_NEWNET))
    os.close(home)
    for cable in line.cables:
        outer.cable(nodes[cable], nodes[cable + 1])
        if cable % _CABLES_A_BATCH == _CABLES_A_BATCH - 1 or cable == line.cables[-1]:
            outer.flush()
    for node, kernel in enumerate(kernels):
        kernel.up(1)
        if node > 0:
            kernel.address(_LEFT_INDEX, right_address(node - 1))
            kernel.up(_LEFT_INDEX)
        if node < line.nodes - 1:
            kernel.address(_RIGHT_INDEX, left_address(node))
            kernel.up(_RIGHT_INDEX)
        for prefix, via in line.routes(node):
            kernel.route(prefix, via)
        kernel.flush()
    outer.close()
    return nodes, kernels


def _ping(node: int, target: str) -> bool:
    command = ["ping", "-c1", "-W5", "-t255", target]
    result = subprocess.run(
        command,
        check=False,
        capture_output=True,
        preexec_fn=lambda: _check(_libc.setns(node, _CLONE_NEWNET)),
    )
    return result.returncode == 0


def main() -> None:
    """One run."""
    line = Line(int(sys.argv[1]))
    _check(_libc.unshare(_CLONE_NEWNET))  # not the host's own namespace; the others do it inside up
    begin = time.perf_counter()
    nodes, kernels = build(line)
    up = time.perf_counter() - begin
    works = all(_ping(nodes[stage.start], stage.target) for stage in line.stages)
    processes = len(descendants(os.getpid()))
    begin = time.perf_counter()
    for node, kernel in zip(nodes, kernels, strict=True):
        kernel.close()
        os.close(node)
    down = time.perf_counter() - begin
    Report(up=up, down=down, works=works, processes=processes).print()


if __name__ == "__main__":
    main()
