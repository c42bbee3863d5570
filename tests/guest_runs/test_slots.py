"""Places for guests: so many on a machine, free again when their holder ends."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from testbed.guest import slots
from testbed.guest.errors import GuestError
from testbed.guest.slots import Slots
from tests.waiting import wait_until


def _nobody_waits() -> None:
    raise AssertionError("there was no place")


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch) -> Callable[[int | None], Slots]:
    """Places of this test's own, on a machine with two CPUs."""
    monkeypatch.setattr(slots, "cpus", lambda: 2)
    name = f"\0testbed-test-{os.getpid()}-{{}}"
    return lambda jobs: Slots(jobs, name=name)


def test_there_are_as_many_as_cpus(places: Callable[[int | None], Slots]) -> None:
    assert places(None).limit == 2
    assert places(1).limit == 2, "one's own restraint takes no place from others"
    assert places(5).limit == 5


def test_no_guest_at_all_is_no_choice() -> None:
    with pytest.raises(GuestError, match="would never get done"):
        Slots(0)


def test_who_finds_none_waits_with_a_word_until_one_is_free(
    places: Callable[[int | None], Slots],
) -> None:
    told = []
    with ExitStack() as stack:
        for _ in range(2):
            assert stack.enter_context(places(None).one(_nobody_waits))

        def waiting() -> None:
            told.append("waiting")
            stack.close()  # the others end

        with places(None).one(waiting) as taken:
            assert taken
    assert told == ["waiting"]


def test_who_is_told_to_stop_waits_no_longer(places: Callable[[int | None], Slots]) -> None:
    told = []
    with ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(places(None).one(_nobody_waits))
        with places(None).one(lambda: told.append(1), lambda: bool(told)) as taken:
            assert not taken


def test_more_jobs_make_more_places(places: Callable[[int | None], Slots]) -> None:
    with ExitStack() as stack:
        for _ in range(3):
            assert stack.enter_context(places(3).one(_nobody_waits))


_HOLDER = """
    import sys
    from testbed.guest.slots import Slots
    with Slots(name="\\0" + sys.argv[1] + "-{}").one(lambda: None):
        print("held", flush=True)
        sys.stdin.read()
"""


def test_a_place_is_free_when_its_holder_is_killed() -> None:
    """Whoever held it, as whatever user: nothing lies around that would have to be removed."""
    name = f"testbed-test-killed-{os.getpid()}"
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(_HOLDER), name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        mine = Slots(name=f"\0{name}-{{}}")
        mine.limit = 1
        assert mine._take() is None
        holder.kill()

    def free() -> bool:
        taken = mine._take()
        if taken is not None:
            taken.close()
        return taken is not None

    wait_until(free, "the place of a killed process")
