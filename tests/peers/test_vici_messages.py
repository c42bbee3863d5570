"""strongSwan's control messages: known bytes, there and back, and anything but messages."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.peers.strongswan.messages import (
    Packet,
    PacketType,
    Section,
    ViciError,
    decode_message,
    decode_packet,
    encode_message,
    encode_packet,
)

_NAMES = st.text(st.characters(codec="ascii", exclude_characters="\0"), min_size=1, max_size=12)
_VALUES = st.text(max_size=30).filter(lambda text: text.isprintable())
_SECTIONS: st.SearchStrategy[Section] = st.recursive(
    st.dictionaries(_NAMES, _VALUES | st.lists(_VALUES, max_size=3), max_size=4),
    lambda inner: st.dictionaries(_NAMES, _VALUES | inner, max_size=4),
    max_leaves=8,
)

# The example in strongSwan's own description of the protocol.
_EXAMPLE: Section = {
    "key1": "value1",
    "section1": {
        "sub-section": {"key2": "value2"},
        "list1": ["item1", "item2"],
    },
}
_EXAMPLE_BYTES = (
    b"\x03\x04key1\x00\x06value1"
    b"\x01\x08section1"
    b"\x01\x0bsub-section"
    b"\x03\x04key2\x00\x06value2"
    b"\x02"
    b"\x04\x05list1"
    b"\x05\x00\x05item1"
    b"\x05\x00\x05item2"
    b"\x06"
    b"\x02"
)


def test_the_documented_example() -> None:
    assert encode_message(_EXAMPLE) == _EXAMPLE_BYTES
    assert decode_message(_EXAMPLE_BYTES) == _EXAMPLE


@given(_SECTIONS)
def test_messages_come_back_as_they_went(section: Section) -> None:
    assert decode_message(encode_message(section)) == section


@given(st.sampled_from(PacketType), _NAMES, _SECTIONS)
def test_packets_come_back_as_they_went(kind: PacketType, name: str, section: Section) -> None:
    named = {PacketType.REQUEST, PacketType.REGISTER, PacketType.UNREGISTER, PacketType.EVENT}
    packet = Packet(kind, name if kind in named else "", section)
    assert decode_packet(encode_packet(packet)) == packet


@given(st.binary(max_size=60))
def test_any_bytes_are_a_packet_or_an_error_of_ours(data: bytes) -> None:
    with suppress(ViciError):
        decode_packet(data)


@given(st.lists(st.sampled_from([b"\x01\x01s", b"\x03\x01k\x00\x01v", b"\x02"]), max_size=400))
def test_sections_in_sections_are_a_message_or_an_error_of_ours(pieces: list[bytes]) -> None:
    with suppress(ViciError):
        message = decode_message(b"".join(pieces))
        assert decode_message(encode_message(message)) == message


@pytest.mark.parametrize(("depth", "fits"), [(32, True), (33, False), (100_000, False)])
def test_no_message_makes_us_dig_without_end(depth: int, fits: bool) -> None:
    data = b"\x01\x01s" * depth + b"\x02" * depth
    if fits:
        assert encode_message(decode_message(data)) == data
    else:
        with pytest.raises(ViciError, match="nested more than 32 deep"):
            decode_message(data)


@given(st.integers(0, len(_EXAMPLE_BYTES) - 1))
def test_a_message_cut_short_is_noticed(length: int) -> None:
    whole = length in (0, 14)  # nothing at all, and the first pair alone, are messages, too
    try:
        decode_message(_EXAMPLE_BYTES[:length])
    except ViciError:
        assert not whole
    else:
        assert whole


@pytest.mark.parametrize(
    ("section", "what"),
    [({"k" * 256: "v"}, "name of 256 bytes"), ({"k": "v" * 65536}, "value of 65536 bytes")],
)
def test_what_does_not_fit_is_refused(section: Section, what: str) -> None:
    with pytest.raises(ViciError, match=what):
        encode_message(section)
