"""The guest kernel for tests that boot it, and a kernel so small that tests can build it."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from testbed.guest.errors import GuestKernelError
from testbed.guest.kernel_build import find_kernel
from testbed.guest.kernel_cache import GuestKernel


@pytest.fixture(scope="session")
def kernel() -> GuestKernel:
    """The guest kernel, where it is built."""
    try:
        found = find_kernel()
    except GuestKernelError as error:
        pytest.skip(f"no guest kernel: {error.what}")
    if found is None:
        pytest.skip("the guest kernel is not built: testbed kernel build")
    return found


_MAKEFILE = """
allnoconfig:
\tcp $(KCONFIG_ALLCONFIG) .config
linux:
\t@for n in $$(seq 20); do echo "  CC      file$$n.o"; done
\t@while [ -e @SLOW@ ]; do sleep 0.02; done
\t@grep -q patched file.c
\t@mkdir -p include/config && echo 6.12.1-tiny > include/config/kernel.release
\t@cp /bin/true linux
"""


def tiny_source(folder: Path, package: str, slow: Path) -> Path:
    """An archive laid out like Debian's, whose "kernel" is /bin/true.

    It takes as long to build as the file ``slow`` exists.
    """
    archive = folder / f"{package}.tar.xz"
    files = {"Makefile": _MAKEFILE.replace("@SLOW@", str(slow)), "file.c": "plain\n"}
    with tarfile.open(archive, "w:xz") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(f"{package}/{name}")
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text.encode()))
    return archive


TINY_PATCH = """
--- a/file.c
+++ b/file.c
@@ -1 +1 @@
-plain
+patched
"""
