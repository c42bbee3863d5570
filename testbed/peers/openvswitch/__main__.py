"""``python -m testbed.peers.openvswitch DATAPATH BRIDGE PORT...``: one switch, until SIGTERM.

DATAPATH is ``kernel``, ``user`` or ``any``: the kernel's where it has one.
"""

from __future__ import annotations

import sys

from testbed.errors import TestbedError
from testbed.events import Emitter
from testbed.peers.openvswitch.daemon import DATAPATHS, run


def main() -> int:
    """Run until a signal ends it."""
    if len(sys.argv) < 3 or sys.argv[1] not in DATAPATHS:
        usage = f"python -m testbed.peers.openvswitch {'|'.join(DATAPATHS)} BRIDGE PORT..."
        sys.stderr.write(f"usage: {usage}\n")
        return 2
    datapath, bridge, *ports = sys.argv[1:]
    try:
        run(datapath, bridge, ports, Emitter.from_environment(sys.stdout))
    except TestbedError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
