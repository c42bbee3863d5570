"""Whatever is sent, the agent lives, forgets nothing it opened, and serves the next one."""

from __future__ import annotations

import os
import struct
from contextlib import ExitStack
from socket import send_fds, socket

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from testbed.backends.agent import protocol
from tests.backends.agent.conftest import Agent
from tests.waiting import wait_until

_NUMBER = st.one_of(
    st.integers(0, 5), st.sampled_from([9, 15, 64, 65, 28, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
)
_FIELDS = st.tuples(st.sampled_from([protocol.MAGIC, 0]), *[_NUMBER] * 6)
_MESSAGE = st.one_of(
    st.binary(max_size=400),
    _FIELDS.map(lambda fields: struct.pack("=7I", *fields)),
    st.tuples(_FIELDS, st.binary(max_size=40)).map(
        lambda pair: struct.pack("=7I", *pair[0]) + pair[1]
    ),
)
_STRINGS = st.one_of(
    st.binary(max_size=60),
    st.lists(st.sampled_from([b"/", b"/bin/true", b"", b"A=1", b"nothing"]), max_size=8).map(
        lambda words: b"".join(word + b"\0" for word in words)
    ),
)


@st.composite
def _run(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A request to run something whose numbers nearly fit its strings."""
    strings = draw(_STRINGS)
    words = strings.count(b"\0")
    arguments = max(0, draw(st.integers(0, max(words, 1))) + draw(st.sampled_from([0, 0, -1, 1])))
    variables = max(0, words - arguments - 1 + draw(st.sampled_from([0, 0, 0, 1])))
    size = max(0, len(strings) + draw(st.sampled_from([0, 0, 0, -1, 1, 1 << 24])))
    flags = draw(st.sampled_from([0, 0, 1, 0xFFFFFFFE]))
    message = protocol.request(
        protocol.RUN, flags=flags, arguments=arguments, variables=variables, size=size
    )
    return message, strings


_STEP = st.one_of(
    st.tuples(_MESSAGE, st.binary(max_size=20)), _run(), st.just((b"", b"")), st.none()
)


def _send(sock: socket, message: bytes, strings: bytes, count: int) -> None:
    with ExitStack() as stack:
        descriptors = []
        for number in range(count):
            descriptor = os.memfd_create("fuzz") if number % 2 == 0 else os.open("/", os.O_RDONLY)
            stack.callback(os.close, descriptor)
            descriptors.append(descriptor)
        if descriptors:
            os.write(descriptors[0], strings)
        try:
            send_fds(sock, [message], descriptors)
        except ConnectionError:
            return  # it has sent us away after an earlier message, as it should


def test_whatever_is_sent(agent: Agent) -> None:
    life = agent.hold()
    assert agent.run("true").status == 0
    usual = agent.open_descriptors()
    seen: set[str] = set()

    @settings(
        max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    @given(st.lists(st.tuples(_STEP, st.sampled_from([0, 1, 1, 2, 4, 17, 18, 253])), max_size=5))
    def property_(steps: list[tuple[tuple[bytes, bytes] | None, int]]) -> None:
        sock = agent.connect()
        for step, count in steps:
            if step is None:
                sock.close()
                sock = agent.connect()
            else:
                _send(sock, *step, count)
        sock.settimeout(0.0)
        try:
            while (answer := protocol.receive(sock)) is not None:
                seen.add(answer.text or str(answer.kind))
        except BlockingIOError:
            pass
        sock.close()
        assert agent.run("true").status == 0
        wait_until(lambda: agent.open_descriptors() == usual, "it to close what it was sent")

    property_()
    # The fuzzer got further than the first check.
    assert len(seen) >= 6, seen
    assert agent.runs
    life.close()
    assert agent.wait() == 0
