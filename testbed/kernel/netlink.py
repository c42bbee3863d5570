"""Netlink without any library: a socket that carries whole batches of requests.

:class:`NetlinkSocket` sends queued requests many at a time.  Only the last message of a batch asks
for an acknowledgement: the kernel works through a batch in order, inside ``send()``, and reports
every *failed* message whether asked to or not.  So one answer per batch proves that all before it
went well.

Sources: ``linux/netlink.h``, RFC 3549, and the kernel's ``net/netlink/af_netlink.c``.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator
from types import TracebackType
from typing import NamedTuple, Self

from testbed.errors import KernelError, KernelUnsupportedError
from testbed.kernel.netlink_codec import (
    HEADER_BYTES,
    Message,
    message,
    split_attributes,
    split_messages,
)

NLMSG_ERROR = 2
NLMSG_DONE = 3

NLM_F_REQUEST = 0x1
NLM_F_ACK = 0x4
NLM_F_DUMP_INTR = 0x10
NLM_F_REPLACE = 0x100
NLM_F_EXCL = 0x200
NLM_F_CREATE = 0x400
NLM_F_DUMP = 0x300
NLM_F_CAPPED = 0x100
NLM_F_ACK_TLVS = 0x200

_SOL_NETLINK = 270
_NETLINK_CAP_ACK = 10
_NETLINK_EXT_ACK = 11
_NETLINK_GET_STRICT_CHK = 12
_SO_RCVBUFFORCE = 33
_NLMSGERR_ATTR_MSG = 1

_ERRNO = struct.Struct("=i")
_U32 = struct.Struct("=I")

# A batch must fit the kernel's send limit and, should every message in it fail, all its error
# answers must fit the receive buffer.  An answer costs the buffer well under this many bytes
# (a socket buffer of 512 bytes, its bookkeeping, and the longest extack text).
_BATCH_BYTES = 64 * 1024
_ANSWER_BYTES = 2048
_WANTED_RECEIVE_BUFFER = 1 << 20
_RECEIVE_BYTES = 64 * 1024  # the kernel fills at most 32 KiB per answer
_DUMP_TRIES = 20

# These answers mean "this kernel does not know what you ask for" when the request names a feature.
_UNSUPPORTED = frozenset(
    {errno.ENOENT, errno.EOPNOTSUPP, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT, errno.ENOSYS}
)
_HINTS = {
    errno.EPERM: "CAP_NET_ADMIN is needed in the network namespace: run as root, or as a user "
    "whose kernel allows user namespaces",
    errno.EACCES: "CAP_NET_ADMIN is needed in the network namespace",
    errno.EEXIST: "something of that name, index or address is there already",
    errno.ENODEV: "the interface does not exist in this namespace (any more)",
    errno.ENETUNREACH: "the gateway must be reachable through an interface that is up and has a "
    "matching address; otherwise mark the route onlink",
    errno.EHOSTUNREACH: "the gateway must be reachable through an interface that is up",
    errno.ENETDOWN: "set the interface up first",
}


class Request(NamedTuple):
    """One operation, ready to be queued.

    ``what`` reads after "could not" in an error message, ``where`` is the place in the lab,
    ``needs`` names what provides the kernel feature the operation depends on, and errors whose
    number is in ``ignore`` count as success (for example ``ENOENT`` for a deletion).
    """

    kind: int
    flags: int
    body: bytes
    what: str
    where: str | None = None
    needs: str | None = None
    ignore: tuple[int, ...] = ()

    def at(self, where: str) -> Request:
        """The same operation with its place in the lab told."""
        return self._replace(where=where)

    def ignoring(self, *numbers: int) -> Request:
        """The same operation, for which these error numbers count as success."""
        return self._replace(ignore=numbers)


class Refusal(NamedTuple):
    """An error answer: positive error number, the kernel's own words (may be empty)."""

    number: int
    words: str


def parse_answer(answer: Message) -> Refusal | None:
    """What an ``NLMSG_ERROR`` message says: None for an acknowledgement.

    Raises:
        ValueError: the message is malformed.
    """
    if len(answer.body) < _ERRNO.size + HEADER_BYTES:
        raise ValueError("netlink error message cut short")
    number = -_ERRNO.unpack_from(answer.body)[0]
    if number == 0:
        return None
    words = ""
    if answer.flags & NLM_F_ACK_TLVS:
        offset = _ERRNO.size + HEADER_BYTES
        if not answer.flags & NLM_F_CAPPED:
            (echoed,) = _U32.unpack_from(answer.body, _ERRNO.size)
            offset = _ERRNO.size + ((echoed + 3) & ~3)
        found = split_attributes(answer.body, offset)
        words = found.get(_NLMSGERR_ATTR_MSG, b"").rstrip(b"\0").decode(errors="replace")
    return Refusal(number, words)


def refusal_error(request: Request, refusal: Refusal, where: str | None, more: int) -> KernelError:
    """The error to raise for a refused request; ``more`` further ones of its batch failed too."""
    reason = os.strerror(refusal.number)
    if refusal.words:
        reason += f" ({refusal.words.rstrip('.')})"
    what = f"could not {request.what}: {reason}"
    if more:
        what += f"; {more} more operation{'s' if more > 1 else ''} of the same batch failed"
    place = request.where or where
    if request.needs is not None and refusal.number in _UNSUPPORTED:
        return KernelUnsupportedError(what, where=place, hint=f"it needs {request.needs}")
    return KernelError(what, where=place, hint=_HINTS.get(refusal.number))


class NetlinkSocket:
    """A netlink socket of the network namespace the calling thread is in when it is made.

    It stays in that namespace whatever the thread does later, so one process can hold one for
    every node.  Descriptors named in requests (``IFLA_NET_NS_FD``) are looked up by the kernel in
    the process that calls :meth:`flush`, and must be open until then.

    Args:
        protocol: ``socket.NETLINK_ROUTE`` or another family.
        where: the place named in errors of requests that name none.
    """

    def __init__(self, protocol: int, where: str | None = None) -> None:
        self._where = where
        self._queue: list[Request] = []
        self._sequence = 0
        try:
            self._socket = socket.socket(
                socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol
            )
        except OSError as error:
            raise KernelUnsupportedError(
                f"could not open a netlink socket (protocol {protocol}): {error.strerror}",
                where=where,
                hint="the kernel was built without this netlink family, or a sandbox forbids it",
            ) from error
        try:
            self._prepare()
        except BaseException:
            self._socket.close()
            raise

    def _prepare(self) -> None:
        wanted = _WANTED_RECEIVE_BUFFER
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, wanted)
        except PermissionError:  # only real root may pass the system's limit
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, wanted)
        for option in (_NETLINK_CAP_ACK, _NETLINK_EXT_ACK, _NETLINK_GET_STRICT_CHK):
            self._socket.setsockopt(_SOL_NETLINK, option, 1)
        self._socket.bind((0, 0))
        granted = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        sendable = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        self._batch_messages = max(1, granted // _ANSWER_BYTES)
        self._batch_bytes = min(_BATCH_BYTES, sendable // 2)

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
        """Close the socket; queued requests that were not flushed are forgotten."""
        self._queue.clear()
        self._socket.close()

    def fileno(self) -> int:
        """The socket's descriptor."""
        return self._socket.fileno()

    def queue(self, *requests: Request) -> None:
        """Remember requests for the next :meth:`flush`; nothing is sent yet."""
        self._queue.extend(requests)

    def run(self, *requests: Request) -> None:
        """Queue and flush at once."""
        self._queue.extend(requests)
        self.flush()

    def flush(self) -> None:
        """Carry out everything queued, in order.

        Raises:
            KernelError: the kernel refused an operation.  The first one refused is told.  Later
                operations of the same batch have been tried all the same; later batches are not
                sent.  The queue is empty afterwards.
        """
        requests, self._queue = self._queue, []
        start = 0
        while start < len(requests):
            start = self._send_batch(requests, start)

    def _send_batch(self, requests: list[Request], start: int) -> int:
        """Send as many requests from ``start`` on as fit; return the index of the next one."""
        first = self._sequence + 1
        size = 0
        end = start
        limit = min(len(requests), start + self._batch_messages)
        while end < limit:
            size += HEADER_BYTES + len(requests[end].body) + 3
            if size > self._batch_bytes and end > start:
                break
            end += 1
        self._sequence += end - start
        messages = [
            message(request.kind, request.flags | NLM_F_REQUEST, sequence, request.body)
            for sequence, request in enumerate(requests[start : end - 1], first)
        ]
        last = requests[end - 1]
        flags = last.flags | NLM_F_REQUEST | NLM_F_ACK
        messages.append(message(last.kind, flags, self._sequence, last.body))
        self._send(b"".join(messages), requests[start])
        refusals: list[tuple[Request, Refusal]] = []
        for answer in self._answers():
            if answer.kind == NLMSG_ERROR and first <= answer.sequence <= self._sequence:
                request = requests[start + answer.sequence - first]
                refusal = parse_answer(answer)
                if refusal is not None and refusal.number not in request.ignore:
                    refusals.append((request, refusal))
                if answer.sequence == self._sequence:
                    break
        if refusals:
            request, refusal = refusals[0]
            raise refusal_error(request, refusal, self._where, len(refusals) - 1)
        return end

    def _send(self, data: bytes, request: Request) -> None:
        try:
            self._socket.send(data)
        except OSError as error:
            raise KernelError(
                f"could not {request.what}: sending {len(data)} bytes failed: {error.strerror}",
                where=request.where or self._where,
            ) from error

    def _answers(self) -> Iterator[Message]:
        while True:
            try:
                data = self._socket.recv(_RECEIVE_BYTES)
            except OSError as error:
                raise KernelError(
                    f"could not read the kernel's answer: {error.strerror}",
                    where=self._where,
                    hint="raise net.core.rmem_max" if error.errno == errno.ENOBUFS else None,
                ) from error
            yield from split_messages(data)

    def get(self, request: Request) -> Message:
        """Ask for one thing and return it.

        Raises:
            KernelError: the kernel refused.
        """
        self._sequence += 1
        flags = request.flags | NLM_F_REQUEST
        self._send(message(request.kind, flags, self._sequence, request.body), request)
        for answer in self._answers():
            if answer.sequence != self._sequence:
                continue
            if answer.kind != NLMSG_ERROR:
                return answer
            refusal = parse_answer(answer)
            if refusal is not None:
                raise refusal_error(request, refusal, self._where, 0)
        raise AssertionError("answers never end by themselves")

    def dump(self, request: Request) -> list[Message]:
        """Ask for a table and return its entries.

        A table that changed while it was read is read again.

        Raises:
            KernelError: the kernel refused, or the table would not stand still.
        """
        for _ in range(_DUMP_TRIES):
            self._sequence += 1
            flags = request.flags | NLM_F_REQUEST | NLM_F_DUMP
            self._send(message(request.kind, flags, self._sequence, request.body), request)
            entries, intact = self._read_dump(request)
            if intact:
                return entries
        raise KernelError(
            f"could not {request.what}: the table kept changing while it was read",
            where=request.where or self._where,
        )

    def _read_dump(self, request: Request) -> tuple[list[Message], bool]:
        entries: list[Message] = []
        intact = True
        for answer in self._answers():
            if answer.sequence != self._sequence:
                continue
            if answer.flags & NLM_F_DUMP_INTR:
                intact = False
            if answer.kind == NLMSG_DONE:
                self._check_done(request, answer)
                break
            if answer.kind == NLMSG_ERROR:
                refusal = parse_answer(answer)
                if refusal is not None:
                    raise refusal_error(request, refusal, self._where, 0)
                continue
            entries.append(answer)
        return entries, intact

    def _check_done(self, request: Request, answer: Message) -> None:
        """A dump may end early with an error number in its last message."""
        if len(answer.body) >= _ERRNO.size:
            number = -_ERRNO.unpack_from(answer.body)[0]
            if number > 0:
                raise refusal_error(request, Refusal(number, ""), self._where, 0)
