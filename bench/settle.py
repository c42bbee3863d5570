"""Wait until the kernel has freed the network namespaces that earlier runs left.

It does so in the background, one batch after the other, long after ``down`` has returned, and would
slow whoever runs next.  So one more namespace is given up, with a cable into one that lives: when
the cable is gone, so is everything before it.

    python -m bench.settle
"""

from __future__ import annotations

import os
import socket
import time

from testbed.kernel import libc, links, namespaces
from testbed.kernel.rtnl import RouteSocket

_NAME = "witness"
_LOOK_EVERY = 0.01


def main() -> None:
    """Return when it is quiet."""
    living = namespaces.new_network()
    dying = namespaces.new_network()
    namespaces.enter_network(living)
    with RouteSocket() as kernel:
        kernel.run(links.veth(links.VethEnd(_NAME), links.VethEnd("other", netns_fd=dying)))
    os.close(dying)
    while _NAME in {name for _, name in socket.if_nameindex()}:
        time.sleep(_LOOK_EVERY)


if __name__ == "__main__":
    libc.set_process_name("bench-settle")
    main()
