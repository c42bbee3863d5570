"""The Mininet side of a lab: a process under Debian's Python, which has the ``mininet`` package.

It is a child of the lab's first process, in the lab's network and process namespaces and a file
view of its own.  It holds a real ``mininet.net.Mininet``: the nodes are Mininet's, and so is the
``mininet>`` prompt.  Of ours it loads only what needs nothing beyond the standard library.
"""

from __future__ import annotations

import sys

from testbed.errors import MissingFeatureError


def no_mininet(error: ImportError) -> MissingFeatureError:
    """The error where this interpreter has no Mininet."""
    return MissingFeatureError(
        f"Mininet cannot be loaded: {error}",
        where=sys.executable,
        hint="apt-get install --no-install-recommends mininet",
    )
