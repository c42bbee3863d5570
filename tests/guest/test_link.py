"""The link's messages survive any way of being cut into pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.guest.link import Kind, Link, LinkClosedError

MESSAGES = st.lists(st.tuples(st.sampled_from(Kind), st.binary(max_size=50)), max_size=5)
SIZES = st.lists(st.integers(1, 20), min_size=1)


class Pipe:
    """Takes and gives as few bytes at a time as it is told."""

    def __init__(self, sizes: list[int]) -> None:
        self._data = b""
        self._sizes = sizes
        self._turn = 0

    def _size(self) -> int:
        self._turn += 1
        return self._sizes[self._turn % len(self._sizes)]

    def read(self, size: int) -> bytes:
        size = min(size, self._size())
        part, self._data = self._data[:size], self._data[size:]
        return part

    def write(self, data: bytes) -> int:
        taken = data[: self._size()]
        self._data += taken
        return len(taken)


@given(MESSAGES, SIZES)
def test_what_is_sent_is_received(messages: list[tuple[Kind, bytes]], sizes: list[int]) -> None:
    pipe = Pipe(sizes)
    link = Link(pipe.read, pipe.write)
    for message in messages:
        link.send(*message)
    assert [link.receive() for _ in messages] == messages
    with pytest.raises(LinkClosedError):
        link.receive()


def test_an_end_in_the_middle_is_noticed() -> None:
    whole = Pipe([99])
    Link(whole.read, whole.write).send(Kind.OUTPUT, b"abc")
    data = whole.read(99)
    for size in range(len(data)):
        cut = Pipe([99])
        cut.write(data[:size])
        with pytest.raises(LinkClosedError):
            Link(cut.read, cut.write).receive()
