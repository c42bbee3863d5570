"""``python -m bench``: run all benchmarks, print the report, keep it in ``bench/``.

python -m bench                      all; writes bench/results.json and bench/RESULTS.md
python -m bench --only arithmetic    some; prints only
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import arithmetic, cores, first_answer, machine, planes, startup
from bench.section import Section, markdown, section_json
from testbed.errors import TestbedError

_FOLDER = Path(__file__).parent
_TITLE = "Figures"


class Benchmark:
    """A benchmark by name; ``root`` says whether it makes namespaces without a user namespace."""

    def __init__(self, title: str, run: Callable[[int], Section], *, root: bool) -> None:
        self.title, self._run, self._root = title, run, root

    def measure(self, rounds: int) -> Section:
        """The result; a benchmark that cannot be run says why and costs nobody else anything."""
        if self._root and os.geteuid() != 0:
            return Section(self.title, "", skipped=("it needs root",))
        try:
            return self._run(rounds)
        except TestbedError as error:
            return Section(self.title, "", skipped=(str(error),), data={"error": str(error)})


BENCHMARKS = {
    "startup": Benchmark("A line of routers with static routes", startup.run, root=True),
    "answer": Benchmark("testbed up v6plus to the first answer", first_answer.run, root=False),
    "planes": Benchmark("The MAP-E reference plane", planes.run, root=True),
    "cores": Benchmark("The MAP-E cores alone", cores.run, root=False),
    "arithmetic": Benchmark("MAP-E arithmetic", arithmetic.run, root=False),
}


def main() -> int:
    """Run; returns 1 if a benchmark failed.  A missed target is a result, not a failure."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="how often (default 5)")
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, metavar="NAME", help="some only")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    facts = machine.facts()
    sections: dict[str, Section] = {}
    begin = time.monotonic()
    for name in options.only or BENCHMARKS:
        print(f"{name} ...", file=sys.stderr, flush=True)
        sections[name] = BENCHMARKS[name].measure(options.rounds)
    text = _report(sections, facts, options.rounds, time.monotonic() - begin)
    print(text)
    if options.only is None:
        (_FOLDER / "RESULTS.md").write_text(text, encoding="utf-8")
        data = {
            "machine": facts,
            "rounds": options.rounds,
            "benchmarks": {name: section_json(section) for name, section in sections.items()},
        }
        (_FOLDER / "results.json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    return 1 if any("error" in section.data for section in sections.values()) else 0


def _report(
    sections: dict[str, Section], facts: dict[str, Any], rounds: int, seconds: float
) -> str:
    head = [
        f"Written by `make bench` in {seconds / 60:.0f} minutes. {machine.sentence(facts)} "
        f"{rounds} rounds, contenders in turns; medians, with the smallest and largest value in "
        "parentheses. Only ratios mean anything on another machine."
    ]
    return markdown(_TITLE, head, list(sections.values()))


if __name__ == "__main__":
    sys.exit(main())
