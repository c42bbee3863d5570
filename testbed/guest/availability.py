"""Can this machine have a guest at all?"""

from __future__ import annotations

from pathlib import Path

from testbed.guest import kernel_cache
from testbed.guest.errors import GuestKernelError
from testbed.guest.kernel_build import Wanted
from testbed.guest.kernel_key import check_tools
from testbed.guest.link import DEVICE


def no_guest_here() -> str | None:
    """Why this machine can have no guest at all, or None.

    A kernel that is damaged, or that does not build, is no such reason: it is an error.
    """
    if Path(DEVICE).exists():
        return "this is a guest already"
    try:
        cache = kernel_cache.cache_folder()
        if not (cache / str(Wanted.here(cache).key)).is_dir():
            check_tools()
    except GuestKernelError as error:
        return f"{error.what} ({error.hint})" if error.hint else error.what
    return None
