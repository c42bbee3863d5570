"""The encoding layer of netlink: bytes against the documented layout, and hostile input."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.errors import KernelError, MissingFeatureError
from testbed.kernel import netlink, netlink_codec
from testbed.kernel.netlink import (
    NLM_F_ACK_TLVS,
    NLM_F_CAPPED,
    Refusal,
    Request,
    parse_answer,
    refusal_error,
)
from testbed.kernel.netlink_codec import (
    Message,
    attribute,
    find_attribute,
    message,
    split_attributes,
    split_messages,
)

payloads = st.binary(max_size=40)


def test_an_attribute_is_length_type_payload_and_padding() -> None:
    assert attribute(3, b"eth0\0") == struct.pack("=HH", 9, 3) + b"eth0\0\0\0\0"
    assert netlink_codec.u32(4, 1460) == struct.pack("=HHI", 8, 4, 1460)
    assert netlink_codec.u8(1, 7) == struct.pack("=HHB", 5, 1, 7) + b"\0\0\0"
    assert netlink_codec.u16(1, 7) == struct.pack("=HHH", 6, 1, 7) + b"\0\0"
    inner = struct.pack("=HH", 6, 1) + b"x\0\0\0"
    assert netlink_codec.nested(18, netlink_codec.text(1, "x")) == (
        struct.pack("=HH", 12, 0x8012) + inner
    )


@given(st.dictionaries(st.integers(0, 0x3FFF), payloads, max_size=6))
def test_attributes_come_back_as_they_went(attributes: dict[int, bytes]) -> None:
    data = b"".join(attribute(kind, payload) for kind, payload in attributes.items())
    assert len(data) % 4 == 0
    assert split_attributes(data) == attributes


@given(st.lists(st.tuples(st.integers(0, 4), payloads), max_size=6), st.integers(0, 4))
def test_of_a_repeated_attribute_the_first_is_found(
    attributes: list[tuple[int, bytes]], wanted: int
) -> None:
    data = b"head" + b"".join(attribute(kind, payload) for kind, payload in attributes)
    payload_of = dict(reversed(attributes))
    assert find_attribute(data, wanted, 4) == payload_of.get(wanted)


def test_what_follows_a_found_attribute_is_not_looked_at() -> None:
    data = attribute(16, b"\6") + bytes(8)
    assert find_attribute(data, 16) == b"\6"
    with pytest.raises(ValueError, match="impossible length 0"):
        find_attribute(data, 17)


@given(st.lists(st.tuples(st.integers(0, 0xFFFF), st.integers(0, 0xFFFF), payloads), max_size=5))
def test_messages_come_back_as_they_went(parts: list[tuple[int, int, bytes]]) -> None:
    data = b"".join(
        message(kind, flags, number, body) for number, (kind, flags, body) in enumerate(parts)
    )
    assert list(split_messages(data)) == [
        Message(kind, flags, number, body) for number, (kind, flags, body) in enumerate(parts)
    ]


@given(st.binary(max_size=80))
def test_garbage_is_refused_not_crashed_on(data: bytes) -> None:
    for parse in (lambda: list(split_messages(data)), lambda: split_attributes(data)):
        try:
            parse()
        except ValueError:
            continue
    for flags in (0, NLM_F_ACK_TLVS, NLM_F_ACK_TLVS | NLM_F_CAPPED):
        try:
            parse_answer(Message(netlink.NLMSG_ERROR, flags, 1, data))
        except ValueError:
            continue


def test_a_zero_length_does_not_loop_for_ever() -> None:
    with pytest.raises(ValueError, match="impossible length 0"):
        split_attributes(bytes(8))
    with pytest.raises(ValueError, match="impossible length 0"):
        list(split_messages(bytes(16)))


@pytest.mark.parametrize("capped", [True, False])
def test_the_kernels_own_words_are_found(capped: bool) -> None:
    echoed = message(20, 5, 9, b"abcdef")
    words = attribute(1, b"Nexthop has invalid gateway.\0")
    head = struct.pack("=i", -101)
    if capped:
        answer = Message(
            netlink.NLMSG_ERROR, NLM_F_CAPPED | NLM_F_ACK_TLVS, 9, head + echoed[:16] + words
        )
    else:
        answer = Message(netlink.NLMSG_ERROR, NLM_F_ACK_TLVS, 9, head + echoed + words)
    assert parse_answer(answer) == Refusal(101, "Nexthop has invalid gateway.")


def test_an_acknowledgement_is_no_refusal() -> None:
    body = struct.pack("=i", 0) + message(20, 5, 9, b"")
    assert parse_answer(Message(netlink.NLMSG_ERROR, NLM_F_CAPPED, 9, body)) is None


def test_an_error_tells_what_where_and_what_to_do() -> None:
    request = Request(36, 0, b"", "put netem on eth0", needs="module sch_netem").at("link a-b")
    error = refusal_error(request, Refusal(2, "Specified qdisc kind is unknown."), "node r1", 2)
    assert isinstance(error, KernelError)
    assert isinstance(error, MissingFeatureError)
    assert str(error) == (
        "link a-b: could not put netem on eth0: No such file or directory "
        "(Specified qdisc kind is unknown); 2 more operations of the same batch failed\n"
        "  hint: it needs module sch_netem"
    )


def test_a_refusal_for_another_reason_is_not_blamed_on_the_kernels_features() -> None:
    request = Request(36, 0, b"", "put netem on eth0", needs="module sch_netem")
    error = refusal_error(request, Refusal(1, ""), "node r1", 0)
    assert not isinstance(error, MissingFeatureError)
    assert str(error).startswith("node r1: could not put netem on eth0: Operation not permitted")
    assert "CAP_NET_ADMIN" in str(error)
