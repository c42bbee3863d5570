"""eBPF: loading a program that does nothing, and attaching it.

Source: ``linux/bpf.h``, bpf(2), tc-bpf(8).
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct

from testbed.errors import KernelError
from testbed.kernel import tc
from testbed.kernel.netlink import NLM_F_CREATE, NLM_F_EXCL, Request
from testbed.kernel.netlink_codec import attribute, text, u32
from testbed.kernel.probing.context import Context

_SYSTEM_CALL = {"x86_64": 321, "aarch64": 280, "riscv64": 280, "loongarch64": 280}
_PROG_LOAD, _LINK_CREATE = 5, 28
_SCHED_CLS = 3
_TCX_INGRESS = 46
_ATTRIBUTE_BYTES = 128
# r0 = 0; exit
_PROGRAM = struct.pack("=BBhiBBhi", 0xB7, 0, 0, 0, 0x95, 0, 0, 0)

_LOOPBACK = 1
_RTM_NEWTFILTER = 44
_CLSACT_INGRESS = 0xFFFFFFF2
_PRIORITY_1_ALL = 1 << 16 | 0x0300  # priority 1, ETH_P_ALL in network order
_TCA_BPF_FD, _TCA_BPF_NAME, _TCA_BPF_FLAGS = 6, 7, 8
_DIRECT_ACTION = 1


def _bpf(command: int, arguments: bytes, what: str) -> int:
    """bpf(2); the descriptor it returns."""
    number = _SYSTEM_CALL.get(platform.machine())
    if number is None:
        raise KernelError(f"bpf(2) is not known to us on {platform.machine()}")
    libc = ctypes.CDLL(None, use_errno=True)
    packed = arguments.ljust(_ATTRIBUTE_BYTES, b"\0")
    buffer = ctypes.create_string_buffer(packed, len(packed))
    result: int = libc.syscall(number, command, buffer, len(packed))
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"could not {what}: {os.strerror(error)}")
    return result


def _load() -> int:
    program = ctypes.create_string_buffer(_PROGRAM, len(_PROGRAM))
    license_text = ctypes.create_string_buffer(b"Apache-2.0")
    arguments = struct.pack(
        "=IIQQ", _SCHED_CLS, 2, ctypes.addressof(program), ctypes.addressof(license_text)
    )
    return _bpf(_PROG_LOAD, arguments, "load an eBPF program")


def ebpf(context: Context) -> str:
    """Load a classifier."""
    del context
    os.close(_load())
    return ""


def cls_bpf(context: Context) -> str:
    """Attach a classifier to the ingress of the loopback by tc."""
    program = _load()
    try:
        options = (
            u32(_TCA_BPF_FD, program)
            + text(_TCA_BPF_NAME, "probe")
            + u32(_TCA_BPF_FLAGS, _DIRECT_ACTION)
        )
        head = struct.pack("=BxxxiIII", 0, _LOOPBACK, 0, _CLSACT_INGRESS, _PRIORITY_1_ALL)
        body = head + text(1, "bpf") + attribute(2, options)
        context.kernel.run(
            tc.clsact(_LOOPBACK),
            Request(_RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL, body, "attach an eBPF classifier"),
        )
        context.kernel.run(tc.delete_qdisc(_LOOPBACK, parent=tc.INGRESS))
    finally:
        os.close(program)
    return ""


def tcx(context: Context) -> str:
    """Attach a classifier to the ingress of the loopback by a link."""
    del context
    program = _load()
    try:
        arguments = struct.pack("=IIII", program, _LOOPBACK, _TCX_INGRESS, 0)
        os.close(_bpf(_LINK_CREATE, arguments, "attach an eBPF program by tcx"))
    finally:
        os.close(program)
    return ""
