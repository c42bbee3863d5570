"""Runs in a guest: a lab for some hours.  Says when it is up and when they are over, as JSON lines.

python -m bench.virtual.inside LAB HOURS [wakeups]
"""

from __future__ import annotations

import json
import sys
from contextlib import AbstractContextManager, ExitStack, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

from bench.virtual.labs import LABS
from bench.virtual.wakeups import counting
from testbed.guest.job import RUN_FOLDER
from testbed.lab import Lab


def main(name: str, hours: float, profile: bool) -> None:
    """Bring the lab up, have its traffic run, let time pass."""
    chosen = LABS[name]
    with ExitStack() as stack, Lab.up(chosen.topology(), run_folder=Path(RUN_FOLDER, "lab")) as lab:
        lab.clock.patience = timedelta(
            days=3650
        )  # qemu's time is virtual, but its kernel knows not
        finish = chosen.begin(lab, stack)
        say(up=True)
        counts: AbstractContextManager[Any] = counting() if profile else nullcontext({})
        with counts as found:
            lab.sleep(hours * 3600)
        say(over=True, wakeups=found)
        say(done=finish())


def say(**words: object) -> None:
    """A line for the host."""
    print(json.dumps(words), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), "wakeups" in sys.argv[3:])
