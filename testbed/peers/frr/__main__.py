"""``python -m testbed.peers.frr NAMES.json``: tells what FRR's daemons in this node do."""

from __future__ import annotations

import sys
from pathlib import Path

from testbed.errors import TestbedError
from testbed.events import Emitter
from testbed.peers.frr.watch import run


def main() -> int:
    """Run until a signal ends it."""
    if len(sys.argv) != 2:
        sys.stderr.write("usage: python -m testbed.peers.frr NAMES.json\n")
        return 2
    try:
        run(Path(sys.argv[1]), Emitter.from_environment(sys.stdout))
    except TestbedError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
