"""What keeper and agent say to each other, and when the agent lets time pass."""

from __future__ import annotations

import asyncio
import fcntl
import os
import time
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.guest.boot import Guest
from testbed.guest.interactive import guest_talk
from testbed.guest.interactive.descriptors import Sink, Source
from testbed.guest.interactive.guest_talk import GuestTalk
from testbed.guest.interactive.hours import FIRST_NS, Hours
from testbed.guest.interactive.talk import POLL, pack, unpack
from testbed.guest.link import Inbox, Kind, Link

SECOND = 10**9
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=5
)


@given(st.dictionaries(st.text(), json_values), st.binary())
def test_what_is_packed_comes_out_again(message: dict[str, object], data: bytes) -> None:
    assert unpack(pack(message, data)) == (message, data)


@given(st.lists(st.tuples(st.sampled_from(Kind), st.binary())), st.lists(st.integers(1, 50)))
def test_messages_come_whole_however_they_are_cut(
    messages: list[tuple[Kind, bytes]], cuts: list[int]
) -> None:
    wire = bytearray()

    def write(data: bytes) -> int:
        wire.extend(data)
        return len(data)

    link = Link(lambda _: b"", write)
    for kind, content in messages:
        link.send(kind, content)
    inbox, found = Inbox(), []
    for cut in [*cuts, len(wire)]:
        found += inbox.take(bytes(wire[:cut]))
        del wire[:cut]
    assert found == messages


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A clock to set."""
    moment = [1000 * SECOND]
    monkeypatch.setattr(time, "time_ns", lambda: moment[0])
    return moment


def test_time_is_held_when_nobody_needs_it(now: list[int]) -> None:
    hours = Hours(is_virtual=True)
    assert hours.next_stop_ns(needed=False, watched=False) is None
    assert hours.state()["held"]


def test_looks_become_rarer_while_nothing_happens(now: list[int]) -> None:
    hours = Hours(is_virtual=True)
    stops = []
    for _ in range(12):
        stops.append(hours.next_stop_ns(needed=True, watched=False) or 0)
        hours.nothing_happened()
    assert stops[0] == FIRST_NS
    assert stops == sorted(stops)
    assert stops[-1] == stops[-2] == 60 * SECOND
    hours.something_happened()
    assert hours.next_stop_ns(needed=True, watched=False) == FIRST_NS


def test_a_way_is_never_overrun(now: list[int]) -> None:
    hours = Hours(is_virtual=True)
    hours.advance(1, now[0] + 7 * SECOND)
    hours.advance(2, now[0] + 10**7)
    steps = 0
    reached: list[int] = []
    while (stop := hours.next_stop_ns(needed=steps % 2 == 0, watched=False)) and steps < 10_000:
        now[0] += stop
        reached += hours.arrived()
        assert now[0] <= 1007 * SECOND
        steps += 1
        hours.nothing_happened()
        if reached == [2, 1]:
            break
    assert reached == [2, 1]
    assert now[0] == 1007 * SECOND
    assert hours.state()["held"]


def test_who_watches_sees_the_last_packets(now: list[int]) -> None:
    hours = Hours(is_virtual=True)
    assert hours.next_stop_ns(needed=False, watched=True) is None
    hours.next_stop_ns(needed=True, watched=True)
    stop = hours.next_stop_ns(needed=False, watched=True)
    assert stop == 250 * 10**6
    now[0] += stop
    assert hours.next_stop_ns(needed=False, watched=True) is None


def test_a_way_that_is_stopped(now: list[int]) -> None:
    hours = Hours(is_virtual=True)
    hours.advance(1, now[0] + SECOND)
    assert hours.stop(1)
    assert not hours.stop(1)
    hours.advance(2, now[0] + SECOND)
    assert hours.stop_all() == [2]
    assert hours.next_stop_ns(needed=False, watched=False) is None


def test_a_users_descriptors_keep_their_flags(tmp_path: Path) -> None:
    """They share them with programs that expect to wait."""

    async def use() -> tuple[bytes, list[bytes]]:
        theirs_in, ours_out = os.pipe()
        ours_in, theirs_out = os.pipe()
        flags = fcntl.fcntl(theirs_in, fcntl.F_GETFL), fcntl.fcntl(theirs_out, fcntl.F_GETFL)
        taken: list[bytes] = []
        read = asyncio.Event()

        def take(data: bytes) -> None:
            taken.append(data)
            read.set()

        source = Source(os.dup(theirs_in), take)
        sink = Sink(os.dup(theirs_out), lambda _: None, lambda: None)
        os.write(ours_out, b"unasked")
        await asyncio.sleep(0)
        assert taken == [], "nothing is read before it is wanted"
        source.want()
        await asyncio.wait_for(read.wait(), 10)
        sink.write(b"out")
        assert flags == (
            fcntl.fcntl(theirs_in, fcntl.F_GETFL),
            fcntl.fcntl(theirs_out, fcntl.F_GETFL),
        )
        source.close()
        sink.close()
        said = os.read(ours_in, 10)
        for descriptor in (theirs_in, ours_out, ours_in, theirs_out):
            os.close(descriptor)
        return said, taken

    said, taken = asyncio.run(use())
    assert (said, taken) == (b"out", [b"unasked"])


def test_a_reader_that_goes_slowly_gets_everything_and_is_told_of() -> None:
    async def use() -> tuple[bytes, list[bool]]:
        ours, theirs = os.pipe()
        told: list[bool] = []
        sink = Sink(theirs, told.append, lambda: None)
        sink.write(bytes(600_000))
        sink.end()
        os.set_blocking(ours, False)
        got = b""
        while True:
            await asyncio.sleep(0)
            try:
                data = os.read(ours, 50_000)
            except BlockingIOError:
                continue
            if not data:
                break
            got += data
        os.close(ours)
        return got, told

    got, told = asyncio.run(use())
    assert got == bytes(600_000)
    assert told == [True, False]


def test_a_file_is_read_and_written_where_it_stands(tmp_path: Path) -> None:
    """Its position is shared with whoever goes on with it."""
    path = tmp_path / "file"
    path.write_bytes(b"first")

    async def use() -> bytes:
        taken: list[bytes] = []
        with path.open("rb") as file:
            source = Source(os.dup(file.fileno()), taken.append)
            source.want()
            while not taken:
                await asyncio.sleep(0)
            source.close()
        with path.open("ab") as file:
            sink = Sink(os.dup(file.fileno()), lambda _: None, lambda: None)
            sink.write(b" second")
            sink.close()
            file.write(b" third")
        return taken[0]

    assert asyncio.run(use()) == b"first"
    assert path.read_bytes() == b"first second third"


class _Bell:
    """A guest whose kernel takes the bell only the third time."""

    def __init__(self) -> None:
        self.rung = 0
        self.sent: list[tuple[Kind, bytes]] = []

    def interrupt(self) -> bool:
        self.rung += 1
        return self.rung >= 3

    def send(self, kind: Kind, content: bytes) -> None:
        self.sent.append((kind, content))


def test_a_bell_that_nobody_hears_is_rung_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guest_talk, "_RING_AGAIN_S", 0.001)
    bell = _Bell()

    async def use() -> None:
        talk = GuestTalk(cast(Guest, bell))
        talk.say({"do": "first"})
        assert bell.rung == 0, "nobody listens yet"
        talk.listen()
        while bell.rung < 3:
            await asyncio.sleep(0.001)
        talk.say({"do": "second"})
        assert bell.rung == 3, "it was heard, and once is enough"
        assert not bell.sent
        talk.rests(POLL, {}, False)
        talk.say({"do": "third"})
        assert bell.rung == 4, "the agent has gone on, and is called anew"

    asyncio.run(use())
    words = [unpack(content)[0] for _, content in bell.sent]
    assert words == [{"do": "first"}, {"do": "second"}, {"go": True}]
