"""``python -m bench``: run all benchmarks, print the report, keep it in ``bench/``.

python -m bench                              all; writes bench/results.json and bench/RESULTS.md
python -m bench --only arithmetic            some; prints only
python -m bench --only icount --record       some; and replaces their part of those files

Some are run only when asked for by name: they fetch packages or take very long.
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

from bench import (
    arithmetic,
    backends,
    cores,
    first_answer,
    guest_kernel,
    icount,
    machine,
    planes,
    record,
    startup,
    virtual_time,
)
from bench.section import Section, markdown, section_json, section_markdown
from testbed.errors import TestbedError

_REPORT = Path(__file__).with_name("RESULTS.md")
_RESULTS = Path(__file__).with_name("results.json")
_TITLE = "Figures"


class Benchmark:
    """A benchmark by name.

    ``root`` says whether it makes namespaces without a user namespace, ``asked`` whether it is run
    only when it is asked for.
    """

    def __init__(
        self, title: str, run: Callable[[int], Section], *, root: bool, asked: bool = False
    ) -> None:
        self.title, self._run, self._root, self.asked = title, run, root, asked

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
    "kernel": Benchmark(guest_kernel.TITLE, guest_kernel.run, root=False),
    "virtual": Benchmark("Hours of virtual time", virtual_time.measure, root=False),
    "backends": Benchmark(backends.TITLE, backends.run, root=True, asked=True),
    "icount": Benchmark(icount.TITLE, icount.measure, root=True, asked=True),
}


def main() -> int:
    """Run; returns 1 if a benchmark failed.  A missed target is a result, not a failure."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="how often (default 5)")
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, metavar="NAME", help="some only")
    parser.add_argument("--record", action="store_true", help="keep the results of --only, too")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    facts = machine.facts()
    names = options.only or [name for name, one in BENCHMARKS.items() if not one.asked]
    sections: dict[str, Section] = {}
    begin = time.monotonic()
    for name in names:
        print(f"{name} ...", file=sys.stderr, flush=True)
        sections[name] = BENCHMARKS[name].measure(options.rounds)
    text = _report(sections, facts, options.rounds, time.monotonic() - begin)
    print(text)
    if options.only is None:
        _keep_all(text, sections, facts, options.rounds)
    elif options.record:
        measured = {name: one for name, one in sections.items() if "error" not in one.data}
        _keep_some(measured, facts, options.rounds)
    return 1 if any("error" in section.data for section in sections.values()) else 0


def _keep_all(text: str, sections: dict[str, Section], facts: dict[str, Any], rounds: int) -> None:
    """Everything new, but for what is run only when asked for."""
    asked = {name: one.title for name, one in BENCHMARKS.items() if one.asked}
    before = json.loads(_RESULTS.read_text(encoding="utf-8"))["benchmarks"]
    kept = {name: before[name] for name in asked if name in before}
    new = {name: section_json(section) for name, section in sections.items()}
    old_text = _REPORT.read_text(encoding="utf-8")
    text = record.replace_sections(text, record.sections_of(old_text, asked.values()))
    _REPORT.write_text(text, encoding="utf-8")
    _write({"machine": facts, "rounds": rounds, "benchmarks": {**new, **kept}})


def _keep_some(sections: dict[str, Section], facts: dict[str, Any], rounds: int) -> None:
    """These sections new, each with the machine's state of its own time."""
    alone = f"Measured by itself, {rounds} rounds. {machine.sentence(facts)}"
    texts = {one.title: section_markdown(one, alone) for one in sections.values()}
    old_text = _REPORT.read_text(encoding="utf-8")
    _REPORT.write_text(record.replace_sections(old_text, texts), encoding="utf-8")
    data = {
        name: {**section_json(section), "machine": facts, "rounds": rounds}
        for name, section in sections.items()
    }
    _write(record.replace_data(json.loads(_RESULTS.read_text(encoding="utf-8")), data))


def _write(data: dict[str, Any]) -> None:
    _RESULTS.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


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
