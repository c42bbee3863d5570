"""The first program in qemu: make the machine ready, run the measured lab, switch off.

The command line of the kernel tells the lab and the hours: ``bench=azure_rekey,24``.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import subprocess
from pathlib import Path

from testbed.guest import calls
from testbed.kernel import libc

_MODULES = (
    *("veth", "tun", "xfrm_user", "xfrm_interface", "esp4", "esp6", "authenc", "echainiv"),
    *("nf_tables", "nft_chain_nat", "nft_masq", "nf_conntrack", "nft_ct", "af_key"),
    *("sch_netem", "aesni_intel", "cbc", "hmac", "sha256_generic", "sha1_generic", "ghash_generic"),
    *("gcm", "seqiv", "xcbc", "ccm", "ctr", "overlay", "nft_fib_inet", "nf_nat"),
)


def main() -> None:
    """Do all of it; never returns."""
    libc.mount("proc", "/proc", "proc")
    libc.mount("sysfs", "/sys", "sysfs")
    libc.mount("devtmpfs", "/dev", "devtmpfs")
    Path("/dev/pts").mkdir(exist_ok=True)
    Path("/dev/shm").mkdir(exist_ok=True)
    for folder in ("/run", "/tmp", "/dev/shm", "/testbed"):
        libc.mount("tmpfs", folder, "tmpfs")
    os.environ["PATH"] = "/usr/sbin:/usr/bin:/sbin:/bin"
    Path("/proc/sys/kernel/modprobe").write_text("/usr/sbin/modprobe")  # algorithms, by their names
    # Not all of them are modules in every kernel; modprobe goes on after those.
    subprocess.run(["modprobe", "--all", "--quiet", *_MODULES], check=False)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, 0x8914, struct.pack("=16sH22x", b"lo", 0x1))  # SIOCSIFFLAGS, IFF_UP
    words = Path("/proc/cmdline").read_text().split()
    (told,) = [word.partition("=")[2] for word in words if word.startswith("bench=")]
    command = ["/usr/bin/python3.11", "-B", "-m", "bench.virtual.inside", *told.split(",")]
    path = "/opt/testbed/code:/opt/testbed/packages"
    environment = {**os.environ, "PYTHONPATH": path, "HOME": "/root", "LANG": "C.UTF-8"}
    with Path("/dev/ttyS0").open("wb", buffering=0) as line:
        line.write(b'\n{"booted": true}\n')
        subprocess.run(command, check=False, env=environment, stdout=line, stderr=line)
    os.sync()
    calls.power_off()
