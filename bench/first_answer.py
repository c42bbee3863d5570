"""From ``testbed up v6plus`` to the first web page that came through MAP-E, as a user types it.

Everything counts: the start of Python twice, finding and checking the topology, the lab, all of its
services until they are ready, and curl.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench.figures import Sample, digits
from bench.section import Section, Target, sample_json, with_spread
from testbed.components.mape.calc import calculate, parse_prefix
from testbed.components.mape.tables import shipped_table
from testbed.errors import TestbedError

_SECONDS = 3.0
_TESTBED = str(Path(sys.executable).with_name("testbed"))
_PREFIX = parse_prefix("240b:10:1234:4700::/56")
"""What home A of the topology was delegated."""
_PAGE = "http://203.0.113.80/"
"""The page that tells its reader's address and port."""
_LONGEST = 60.0
_UP, _ANSWER, _DOWN = "up returns", "first answer", "down returns"


class AnswerError(TestbedError):
    """The page did not come, or not through MAP-E."""


def run(rounds: int) -> Section:
    """Measure; raises AnswerError if the page shows another address or port than home A's."""
    samples: dict[str, list[float]] = {_UP: [], _ANSWER: [], _DOWN: []}
    for _ in range(rounds):
        for what, seconds in _one_round().items():
            samples[what].append(seconds)
    return judge({what: Sample.of(found) for what, found in samples.items()})


def judge(samples: dict[str, Sample]) -> Section:
    """The figures (seconds) as a table and against the target; pure."""
    answer = samples[_ANSWER].median
    what = f"first answer through MAP-E less than {_SECONDS:g} s after `testbed up v6plus`"
    return Section(
        title="testbed up v6plus to the first answer",
        about="Seconds since `testbed up v6plus` was started: until it returned, and until "
        "`testbed exec v6plus pc-a1 curl` (started then) had the page from behind CE and BR. Both "
        "commands' own start is part of it; `testbed down` is counted by itself. Median "
        "(smallest-largest).",
        table=(("", "s"), *((name, with_spread(sample)) for name, sample in samples.items())),
        targets=(Target(what, f"{digits(answer)} s", answer < _SECONDS),),
        data={"seconds": {name: sample_json(sample) for name, sample in samples.items()}},
    )


def _one_round() -> dict[str, float]:
    name = f"bench-v6plus-{os.getpid()}"
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        begin = time.perf_counter()
        _testbed("up", "v6plus", "--name", name, "--runs", folder)
        up = time.perf_counter() - begin
        try:
            page = _testbed("exec", name, "pc-a1", "curl", "--silent", "--fail", _PAGE)
            answer = time.perf_counter() - begin
        finally:
            begin = time.perf_counter()
            _testbed("down", name)
            down = time.perf_counter() - begin
    check_page(page)
    return {_UP: up, _ANSWER: answer, _DOWN: down}


def check_page(page: str) -> None:
    """The page tells home A's shared address and one of its ports.

    Raises:
        AnswerError: it does not.
    """
    shipped = shipped_table("v6plus")
    home = calculate(_PREFIX, shipped.table.for_prefix(_PREFIX), iid=shipped.iid)
    address, _, port = page.strip().partition(" ")
    if address != str(home.ipv4) or not port.isdecimal() or int(port) not in home.ports:
        raise AnswerError(f"the web server saw {page.strip()!r}, which is not home A")


def _testbed(*words: str) -> str:
    command: Sequence[str] = (_TESTBED, *words)
    try:
        result = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=_LONGEST
        )
    except subprocess.TimeoutExpired as error:
        raise AnswerError(f"not done in {_LONGEST:g} s", where=" ".join(words)) from error
    if result.returncode != 0:
        trouble = (result.stderr or result.stdout)[-2000:]
        raise AnswerError(f"ended with {result.returncode}: {trouble}", where=" ".join(words))
    return result.stdout
