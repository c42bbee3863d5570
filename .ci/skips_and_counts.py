"""Read the JUnit files of a run: count, list the skips, and refuse skips nobody expects.

    skips_and_counts.py [--strict] EXPECTED_SKIPS JUNIT_FILE...

Prints every skip reason with its count and ends with ``N passed, N failed, N skipped``.
Exit status 1 when a test failed, a file holds no executed test, or (``--strict``) a reason for
skipping matches no line of EXPECTED_SKIPS.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree


@dataclass
class Tally:
    """What a run came to."""

    passed: int = 0
    failed: int = 0
    skips: Counter[str] = field(default_factory=Counter)

    def add_file(self, path: Path) -> int:
        """Add a JUnit file; the number of tests in it that were executed."""
        executed = 0
        # A file that our own test run wrote a moment ago.
        for case in ElementTree.parse(path).getroot().iter("testcase"):
            skipped = case.find("skipped")
            if case.find("failure") is not None or case.find("error") is not None:
                self.failed += 1
                executed += 1
            elif skipped is not None:
                self.skips[skipped.get("message") or "no reason given"] += 1
            else:
                self.passed += 1
                executed += 1
        return executed


def expected_patterns(path: Path) -> list[re.Pattern[str]]:
    """The regular expressions in a file; empty lines and ``#`` lines are for the reader."""
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    return [re.compile(line) for line in lines if line and not line.startswith("#")]


def main(arguments: list[str]) -> int:
    """Print the tally; the exit status."""
    strict = "--strict" in arguments
    expected_file, *files = [Path(a) for a in arguments if a != "--strict"]
    patterns = expected_patterns(expected_file)
    tally, trouble = Tally(), []
    for file in files:
        if tally.add_file(file) == 0:
            trouble.append(f"no test was executed according to {file}")
    if not files:
        trouble.append("no JUnit file was written")
    for reason, count in sorted(tally.skips.items()):
        known = any(pattern.search(reason) for pattern in patterns)
        print(f"skipped {count:4}  {'UNEXPECTED ' if strict and not known else ''}{reason}")
        if strict and not known:
            trouble.append(f"skipped for a reason not in {expected_file}: {reason}")
    for line in trouble:
        print(f"error: {line}")
    failed = tally.failed + len(trouble)
    print(f"{tally.passed} passed, {failed} failed, {tally.skips.total()} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
