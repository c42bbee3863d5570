"""``python -m testbed.components.mape ce|br --config FILE``: run a CE or BR in this node.

The node must forward packets.  Readiness is told to ``$NOTIFY_SOCKET``, events go to the lab (or,
outside a lab, to standard output).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from testbed.components.mape.services import run_br, run_ce
from testbed.errors import TestbedError
from testbed.events import Emitter

_RUN = {"ce": run_ce, "br": run_br}


def main(arguments: list[str] | None = None) -> int:
    """Run the daemon until it is told to stop; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m testbed.components.mape",
        description="Run a MAP-E customer edge (ce) or border relay (br) in this network node.",
    )
    parser.add_argument("role", choices=sorted(_RUN))
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="JSON file")
    options = parser.parse_args(arguments)
    try:
        _RUN[options.role](options.config, Emitter.from_environment(fallback=sys.stdout))
    except TestbedError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
