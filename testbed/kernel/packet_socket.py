"""Capture sockets: every frame that enters or leaves one interface, with the kernel's timestamp.

A socket is opened in the namespace its interface lives in and stays usable when the process moves
on, so one process can hold those of a whole lab.

Checksums: on veth the kernel leaves TCP and UDP checksums (and the cutting of long TCP segments)
to a network card that is not there, so an outgoing frame may carry an unfinished checksum or be
longer than the MTU.  :attr:`Frame.checksum_pending` marks the former; pcapng has a packet flag for
it.  :func:`testbed.kernel.offload.set_offload` turns both off where frames as on a wire are wanted.

Sources: packet(7), socket(7), ``linux/if_packet.h``, and libpcap's handling of VLAN tags.
"""

from __future__ import annotations

import array
import errno
import fcntl
import socket
import struct
from types import TracebackType
from typing import NamedTuple, Self

from testbed.errors import KernelError
from testbed.kernel.packet_batch import (
    BATCH,
    PACKET_AUXDATA,
    SO_TIMESTAMPNS,
    SOL_PACKET,
    Received,
    batch_of_thread,
)
from testbed.kernel.packet_filter import FilterProgram, attach, attach_nothing, compile_filter

ETHERNET = 1
"""LINKTYPE_ETHERNET."""
RAW = 101
"""LINKTYPE_RAW: the frame begins with the IPv4 or IPv6 header."""

SNAP_LENGTH = 262_144
RECEIVE_BUFFER = 32 * 1024 * 1024

_ETH_P_ALL = 0x0003
_IP_PROTOCOLS = frozenset({b"\x08\x00", b"\x86\xdd"})
_ARPHRD_ETHER = 1
_ARPHRD_LOOPBACK = 772
_SIOCGIFHWADDR = 0x8927
_PACKET_STATISTICS = 6
_SO_RCVBUFFORCE = 33
_PACKET_OUTGOING = 4
_CHECKSUM_NOT_READY = 0x08
_VLAN_VALID = 0x10
_VLAN_TPID_VALID = 0x40
_ETH_P_8021Q = 0x8100
_ETHERNET_HEADER = 14


class Frame(NamedTuple):
    """A captured frame.

    ``time_ns`` is the real-time clock's; ``length`` the length on the wire, more than
    ``len(data)`` when the frame was cut; ``checksum_pending`` that its transport checksum is not
    filled in yet.
    """

    time_ns: int
    outgoing: bool
    data: bytes
    length: int
    checksum_pending: bool = False


class PacketSocket:
    """Captures on one interface of the network namespace the calling thread is in.

    Args:
        interface: its name.
        where: the place named in errors.
        program: a compiled filter (:func:`testbed.kernel.packet_filter.compile_filter`).
        expression: a filter to be compiled for this interface, instead of ``program``.
        buffer: bytes the kernel may hold back for us; beyond that frames are lost, and counted.
            Granted in full only to root, else up to ``net.core.rmem_max``.

    Attributes:
        link_type: :data:`ETHERNET` or :data:`RAW`.

    Raises:
        KernelError: no such interface, or no privilege (CAP_NET_RAW).
    """

    def __init__(
        self,
        interface: str,
        *,
        where: str | None = None,
        program: FilterProgram | None = None,
        expression: str | None = None,
        buffer: int = RECEIVE_BUFFER,
        snap_length: int = SNAP_LENGTH,
    ) -> None:
        self.interface = interface
        self._where = where or interface
        self._received = 0
        self._lost = 0
        self._snap_length = snap_length
        try:
            self.link_type, self._loopback = _link_type(interface)
            kind = socket.SOCK_RAW if self.link_type == ETHERNET else socket.SOCK_DGRAM
            # Protocol 0 receives nothing until bind(): no frame of another interface gets in.
            self._socket = socket.socket(socket.AF_PACKET, kind | socket.SOCK_CLOEXEC, 0)
        except OSError as error:
            raise self._error(error) from error
        try:
            if expression:
                program = compile_filter(expression, self.link_type)
            self._prepare(program, buffer)
        except OSError as error:
            self._socket.close()
            raise self._error(error) from error
        except BaseException:
            self._socket.close()
            raise

    def _error(self, error: OSError) -> KernelError:
        hints = {
            errno.EPERM: "capturing needs CAP_NET_RAW in the network namespace",
            errno.ENODEV: f"the namespace has no interface {self.interface}",
        }
        return KernelError(
            f"could not capture on {self.interface}: {error.strerror}",
            where=self._where,
            hint=hints.get(error.errno or 0),
        )

    def _prepare(self, program: FilterProgram | None, buffer: int) -> None:
        self._socket.setblocking(False)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, buffer)
        except PermissionError:  # only real root may pass the system's limit
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self._socket.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        if program is not None:
            attach(self._socket, program)
        self._socket.bind((self.interface, _ETH_P_ALL))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket; frames not read yet are gone."""
        self._socket.close()

    def fileno(self) -> int:
        """The descriptor, to wait on: readable when there are frames."""
        return self._socket.fileno()

    def receive_many(self, limit: int = 256) -> list[Frame]:
        """Up to ``limit`` frames that wait, without blocking; empty when none wait.

        An interface that goes down or away is no error: there is merely nothing more from it.
        """
        frames: list[Frame] = []
        batch = batch_of_thread(self._snap_length)
        while len(frames) < limit:
            wanted = min(BATCH, limit - len(frames))
            try:
                count = batch.receive(self._socket.fileno(), wanted)
            except OSError as error:
                if error.errno != errno.ENETDOWN:
                    raise self._error(error) from error
                continue
            for packet in batch.packets(count):
                outgoing = packet.packet_type == _PACKET_OUTGOING
                if self._loopback and outgoing:
                    continue  # it comes in again at once; libpcap shows it once as well
                if self.link_type == RAW and packet.protocol not in _IP_PROTOCOLS:
                    continue  # nothing LINKTYPE_RAW could say
                frames.append(_frame(packet, outgoing))
            if count < wanted:
                break
        return frames

    def cease(self) -> None:
        """Take in no more frames; those that wait can still be read."""
        attach_nothing(self._socket)

    def counts(self) -> tuple[int, int]:
        """Frames that reached this socket since it was made, and how many of them were lost."""
        packed = self._socket.getsockopt(SOL_PACKET, _PACKET_STATISTICS, 8)
        received, lost = struct.unpack("=II", packed)  # reading sets the kernel's counts to zero
        self._received += received
        self._lost += lost
        return self._received, self._lost


def _link_type(interface: str) -> tuple[int, bool]:
    """LINKTYPE of an interface, and whether it is the loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as asking:
        request = array.array("B", interface.encode()[:15].ljust(40, b"\0"))
        fcntl.ioctl(asking.fileno(), _SIOCGIFHWADDR, request)
    (hardware,) = struct.unpack_from("=H", request, 16)
    if hardware in {_ARPHRD_ETHER, _ARPHRD_LOOPBACK}:
        return ETHERNET, hardware == _ARPHRD_LOOPBACK
    return RAW, False


def _frame(packet: Received, outgoing: bool) -> Frame:
    data, length, status = packet.data, packet.length, packet.status
    if status & _VLAN_VALID and len(data) >= _ETHERNET_HEADER:  # the kernel took the tag out
        ether_type = packet.vlan_tpid if status & _VLAN_TPID_VALID else _ETH_P_8021Q
        data = data[:12] + struct.pack("!HH", ether_type, packet.vlan_tci) + data[12:]
        length += 4
    return Frame(packet.time_ns, outgoing, data, length, bool(status & _CHECKSUM_NOT_READY))
