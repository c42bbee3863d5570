"""One lab's hours and what wakes it, for whoever looks for what they cost.

python -m bench.virtual azure_rekey 48             how long it takes
python -m bench.virtual azure_rekey 2 --wakeups    and what woke the guest
"""

from __future__ import annotations

import argparse
import sys

from bench.figures import digits
from bench.virtual.labs import LABS
from bench.virtual.runs import run
from testbed.errors import TestbedError


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.virtual", description=__doc__)
    parser.add_argument("lab", choices=LABS)
    parser.add_argument("hours", type=float)
    parser.add_argument("--wakeups", action="store_true")
    options = parser.parse_args()
    if options.hours <= 0:
        parser.error("the hours must be more than none")
    try:
        done = run(options.lab, options.hours, wakeups=options.wakeups)
    except TestbedError as error:
        print(error, file=sys.stderr)
        return 1
    print(
        f"boot {done.booted:.2f} s, lab up at {done.up:.2f} s, over at {done.over:.2f} s, "
        f"ended at {done.ended:.2f} s; {done.seconds_per_day:.2f} s a virtual day, "
        f"{done.cpu_per_day:.2f} s of CPU; CPU {done.cpu:.2f} s; {done.done}"
    )
    for kind, counts in done.wakeups.items():
        print(f"{kind}: {digits(sum(counts.values()) / done.hours)} an hour")
        for name, count in counts.items():
            print(f"  {digits(count / done.hours):>8}  {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
