"""What building the guest kernel took on this machine, as the build itself wrote it down.

Nothing is built here: the figures are those of the kernel that this checkout uses, from its cache.
"""

from __future__ import annotations

from bench.figures import digits
from bench.section import Section, Target
from testbed.guest.kernel_build import find_kernel
from testbed.guest.kernel_cache import Manifest

TITLE = "Building the guest kernel"
MOST_CPU_MINUTES = 12.0
MOST_MB = 12.0

_ABOUT = (
    "From Debian's source package to the binary in the cache: unpack, patch, configure, compile "
    "with as many jobs as there are cores, link, strip. CPU time is that of all its processes. It "
    "was counted while the machine did other work, too, as it does when a build runs in the "
    "background; wall time says little then."
)
_NOTES = (
    "Compiling a file cost 0.9 s of CPU time when this machine had little else to do, and 1.1 s "
    "when it was busy, whatever is in the file: nearly all of it is reading the kernel's headers, "
    "and no compiler option changes that (-Os, -O1, -pipe and no warnings were tried). So the time "
    "is the number of files. The configuration before the trim had 59 more options and took 18.6 "
    "CPU minutes for 1222 files and 11.0 MB, at 0.9 s a file. 12 minutes "
    "would be some 790 files; all of net/netfilter, Open vSwitch and eBPF are 178, and labs need "
    "them.",
)


def run(_rounds: int) -> Section:
    """The figures of the cached kernel.

    Raises:
        GuestKernelError: this machine has no source or no compiler, or a damaged cache.
    """
    kernel = find_kernel()
    if kernel is None:
        return Section(TITLE, _ABOUT, skipped=("it is not built: testbed kernel build",))
    return judge(kernel.manifest)


def judge(manifest: Manifest) -> Section:
    """The figures as a table, against what was promised; pure."""
    cpu, size = manifest.cpu_s / 60, manifest.size / 1e6
    figures = {
        "CPU minutes": digits(cpu),
        "wall minutes": digits(manifest.wall_s / 60),
        "files compiled": str(manifest.compiled_files),
        "size, MB": digits(size),
    }
    return Section(
        TITLE,
        _ABOUT,
        table=(("", manifest.release), *figures.items()),
        targets=(
            Target(
                f"at most {MOST_CPU_MINUTES:g} CPU minutes",
                f"{digits(cpu)} minutes",
                cpu <= MOST_CPU_MINUTES,
            ),
            Target(f"at most {MOST_MB:g} MB", f"{digits(size)} MB", size <= MOST_MB),
        ),
        notes=_NOTES,
        data={
            "key": manifest.key,
            "cpu_s": manifest.cpu_s,
            "wall_s": manifest.wall_s,
            "compiled_files": manifest.compiled_files,
            "bytes": manifest.size,
        },
    )
